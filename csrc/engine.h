// The one thread that owns the llama_context: it decodes all runs of a model together.
#pragma once

#include "drafts.h"
#include "error.h"
#include "kv.h"
#include "prefix_cache.h"
#include "rpc_servers.h"
#include "sampler.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

struct ggml_threadpool;

namespace luup {

using Clock = std::chrono::steady_clock;

// Counts and times of one completion.
struct Metrics {
    int32_t prompt_tokens       = 0;
    int32_t cached_tokens       = 0;
    int32_t recomputed_tokens   = 0;  // of what had to be prefilled, what the owner had computed before
    int32_t answer_tokens       = 0;
    double  queue_seconds       = 0;
    double  prefill_seconds     = 0;
    double  decode_seconds      = 0;
    double  first_token_seconds = 0;
    double  total_seconds       = 0;
    double  score               = 0;  // log-probability of the scored tokens
};

// A prompt to be continued. The engine calls the on_* methods from its thread; they must be quick, and may not call the engine.
class Completion {
  public:
    virtual ~Completion() = default;

    virtual void on_progress(int32_t done, int32_t total) = 0;

    // What follows: first so many tokens of the answer are taken back, then these come. None: choose() is asked again for what follows then.
    struct Choice {
        size_t                   take_back = 0;
        std::vector<llama_token> tokens;
    };

    // Chooses what follows, given a row of logits.
    virtual void choose(Sampler & sampler, float * logits, Choice & choice) { choice.tokens = { sampler.sample(logits) }; }

    // One token of the answer; false if the answer is complete with it (a stop text came up).
    virtual bool on_token(llama_token token) = 0;

    // Exactly once, the last call: `failure.code` is LUUP_SUCCESS or why it ended early.
    virtual void on_end(luup_finish_reason reason, const Failure & failure, const Metrics & metrics) = 0;

    std::vector<llama_token>         prompt;  // never empty
    size_t                           prefix     = 0;  // the prompt's first tokens that other conversations begin with too; 0 = not to be kept
    size_t                           score_from = 0;  // > 0: nothing is generated, but the prompt's tokens from there on are scored
    Sampling                         sampling;
    uint64_t                         owner    = 0;  // the agent, whose sequence is kept warm
    int32_t                          priority = 0;      // the higher first
    bool                             admitted = false;  // a later turn of a run: however many wait, it is taken
    std::optional<Clock::time_point> deadline;
    Clock::time_point                submitted = Clock::now();
    std::atomic<bool>                cancelled{ false };
};

// Bytes.
struct MemoryUse {
    uint64_t weights = 0;
    uint64_t context = 0;
    uint64_t compute = 0;
};

struct EngineParams {
    llama_context_params         context;
    int32_t                      threads       = 1;
    int32_t                      threads_batch = 1;
    uint64_t                     cache_ram     = 0;  // bytes
    int32_t                      max_waiting   = -1;  // completions; -1 = no bound
    std::shared_ptr<PrefixCache> prefixes;    // may be null
    RpcServers *                 servers = nullptr;  // whose devices the model uses; must outlive the engine
};

class Engine {
  public:
    // Throws Error if the context can't be made. `model` must outlive the engine.
    Engine(llama_model * model, const EngineParams & params);
    ~Engine();
    Engine(const Engine &)             = delete;
    Engine & operator=(const Engine &) = delete;

    // Queues a completion; on_end() will be called. Throws Error(LUUP_ERROR_CLOSED), or LUUP_ERROR_BUSY if too many wait.
    void submit(std::shared_ptr<Completion> completion);

    // Makes the thread look at the `cancelled` flags now.
    void interrupt();

    // The owner's parked sequences may serve others.
    void disown(uint64_t owner);

    // A copy of what of the owner's `tokens` is warm, if anything. Blocks until it is its turn. Throws Error(LUUP_ERROR_CLOSED).
    std::optional<StoredSequence> snapshot(uint64_t owner, const std::vector<llama_token> & tokens);

    // Keeps such a copy for the owner's next turn. False if it has no room. Blocks likewise. Throws Error(LUUP_ERROR_CLOSED).
    bool adopt(StoredSequence sequence);

    // Decodes one token. Blocks until it is its turn. Throws Error.
    void warmup();

    // Ends every completion with LUUP_ERROR_CLOSED and the thread. Idempotent; not from the engine's thread.
    void close();

    // Everything but the `size` field.
    luup_model_stats stats() const;

    // Only while nothing was submitted yet.
    MemoryUse memory() const;

    int32_t context_size() const { return n_ctx_; }

    // Whether it makes use of Completion::prefix.
    bool keeps_prefixes() const { return prefixes_ != nullptr || !sequences_->can_shorten(); }

  private:
    // A completion that has a sequence.
    struct Active {
        Active(const Sampling & sampling, int32_t n_vocab) : sampler(sampling, n_vocab) {}

        std::shared_ptr<Completion> completion;
        Sequence *                  sequence = nullptr;  // nullptr once it has ended, and while it waits again
        std::vector<llama_token>    tokens;  // the prompt and the answer so far; the sequence holds a prefix of it
        Sampler                     sampler;
        PromptLookup                lookup;
        DraftRecord                 drafts;
        std::vector<llama_token>    draft;  // in the batch under way, behind the token that `output` is the row of
        Metrics                     metrics;
        Clock::time_point           admitted, first_token, last_token;
        uint64_t                    order    = 0;      // of admission
        size_t                      keep     = 0;  // when the sequence has so many tokens, they are kept for others
        size_t                      computed = 0;  // tokens that the sequence had when it was set back
        int32_t                     queued   = 0;  // tokens in the batch under way
        int32_t                     output   = -1;  // index in the batch of the row to sample from
        int32_t                     scored   = -1;  // index in the batch of the first row to score from; the last is the batch's last of this one

        size_t pending() const { return tokens.size() - sequence->tokens.size(); }
        bool   decoding() const { return pending() == 1; }
    };

    // A completion without a sequence: new, or set back for room with what it had already.
    struct Waiting {
        std::shared_ptr<Completion> completion;
        std::unique_ptr<Active>     resumed;
        uint64_t                    behind        = 0;  // `order` of an active one that is computing our prefix; 0 = none
        size_t                      behind_tokens = 0;  // until it has this many
    };

    void run();
    bool wait_for_work();
    void queue(Waiting waiting, bool first);
    void check_queue() const;
    void run_tasks();
    template <typename F>
    auto                   ask_thread(F task) -> decltype(task());
    void                   drop_ended();
    void                   erase_ended();
    void                   admit();
    bool                   admit_one(Waiting & waiting);
    bool                   must_wait_for_prefix(Waiting & waiting, const std::vector<llama_token> & tokens) const;
    bool                   has_room(uint64_t owner, const std::vector<llama_token> & tokens) const;
    void                   step();
    void                   roll_back_batch();
    void                   fill_batch();
    size_t                 make_drafts(size_t decoding, size_t prefilling);
    void                   add_to_batch(Active & active, int32_t n);
    void                   add_draft(const Active & active);
    bool                   make_room(size_t n);
    void                   preempt();
    void                   after_decode();
    bool                   sample(Active & active);
    bool                   choose(Active & active, int32_t row);
    bool                   take(Active & active, llama_token token);
    void                   take_back(Active & active, size_t n);
    bool                   score(Active & active);
    void                   end(Active & active, luup_finish_reason reason, const Failure & failure);
    void                   end_waiting(Waiting & waiting, const Failure & failure);
    void                   end_all(const Failure & failure);
    std::optional<Failure> reason_to_end(const Completion & completion) const;
    bool                   should_abort();
    void                   load_prefix(Active & active, Sequence & sequence);
    void                   keep_prefix(Active & active);
    void                   publish_stats();
    void                   check_servers();
    void                   release_context();

    llama_model *       model_;
    RpcServers *        servers_;
    const llama_vocab * vocab_;
    llama_context *     context_       = nullptr;
    ggml_threadpool *   pool_decode_   = nullptr;
    ggml_threadpool *   pool_prefill_  = nullptr;
    int32_t             n_ctx_         = 0;
    int32_t             n_batch_       = 0;
    int32_t             n_seq_max_     = 0;
    int32_t             n_outputs_max_ = 0;
    int32_t             max_waiting_   = -1;
    llama_batch         batch_         = {};

    // Of the engine's thread alone.
    std::unique_ptr<SequencePool>        sequences_;
    std::vector<std::unique_ptr<Active>> active_;  // the highest priority first, the oldest first within one
    std::deque<Waiting>                  waiting_;
    std::vector<Active *>                in_batch_;
    // What each agent's last turn left computed. A context that is full, or that can't be cut where a prompt goes another way, may not have it any more.
    std::unordered_map<uint64_t, std::vector<llama_token>> computed_;
    Completion::Choice                                     choice_;  // of sample(), kept for its memory
    int32_t                                                n_outputs_       = 0;  // rows of logits that the batch asks for
    uint64_t                                               admissions_      = 0;
    uint64_t                                               seen_interrupts_ = 0;
    luup_model_stats                                       totals_          = {};  // what publish_stats() shows as stats_
    DecodeTimes                                            times_;
    std::shared_ptr<PrefixCache>                           prefixes_;
    bool                                                   abortable_ = false;  // the batch under way is a prefill: worth aborting

    // Shared.
    std::atomic<uint64_t>                   interrupts_{ 0 };
    std::atomic<bool>                       closing_{ false };
    mutable std::mutex                      mutex_;
    std::condition_variable                 wakeup_;
    std::deque<std::shared_ptr<Completion>> inbox_;
    std::deque<std::function<void()>>       tasks_;
    luup_model_stats                        stats_  = {};
    bool                                    closed_ = false;
    std::mutex                              close_mutex_;
    std::thread                             thread_;
};

}  // namespace luup
