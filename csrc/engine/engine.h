// The one thread that owns a model's llama_context, and decodes all of its completions together.
#pragma once

#include "base/mapped_files.h"
#include "device/rpc_servers.h"
#include "engine/active.h"
#include "engine/adapters.h"
#include "engine/batch.h"
#include "engine/completion.h"
#include "engine/context.h"
#include "engine/draft_model.h"
#include "engine/drafts.h"
#include "engine/inbox.h"
#include "engine/media_batch.h"
#include "engine/mtp_heads.h"
#include "engine/prefix_cache.h"
#include "engine/sequence_pool.h"
#include "engine/stored_sequence.h"
#include "engine/thread_count.h"

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace luup {

class MediaEncoder;

struct EngineParams {
    llama_context_params         context;
    int32_t                      threads       = 1;
    int32_t                      threads_batch = 1;
    bool                         fixed_threads = false;  // decodes use all of them, however busy the machine is
    uint64_t                     cache_ram     = 0;        // bytes
    int32_t                      max_waiting   = -1;       // completions; -1 = no limit
    std::shared_ptr<PrefixCache> prefixes;                 // may be null
    RpcServers *                 servers = nullptr;  // those that hold parts of the model; must outlive the engine
    const MappedFiles *          files   = nullptr;  // those that the model is mapped from; must outlive the engine
    std::shared_ptr<Adapters>    adapters;           // null: none
    MediaEncoder *               encoder = nullptr;  // of pictures and sound; must outlive the engine; null: none
    llama_model *                draft   = nullptr;  // guesses how answers go on; may be null; must outlive the engine
    bool                         mtp     = false;  // the model's own heads guess; not with `draft`
};

// All public methods may be called from any thread but the engine's own.
class Engine {
  public:
    // Throws Error if the context can't be created. `model` must outlive the engine.
    Engine(llama_model * model, const EngineParams & params);
    ~Engine();
    Engine(const Engine &)             = delete;
    Engine & operator=(const Engine &) = delete;

    // Queues a completion, whose on_end() will be called. Throws Error(LUUP_ERROR_CLOSED), or Error(LUUP_ERROR_BUSY) if
    // too many wait.
    void submit(std::shared_ptr<Completion> completion) { inbox_.submit(std::move(completion)); }

    // Makes the thread look at the `cancelled` flags now.
    void interrupt() { inbox_.interrupt(); }

    // The owner was closed: its parked sequences may serve others.
    void disown(uint64_t owner) noexcept;

    // Returns a copy of the KV state of the longest prefix of `tokens` that is cached for the owner, if there is any.
    // Blocks until the engine's thread has made it. Throws Error(LUUP_ERROR_CLOSED).
    std::optional<StoredSequence> snapshot(const SequenceKey & key, const std::vector<llama_token> & tokens);

    // Returns a copy of the owner's sequence that was used last, if it is in the context, parked and has the adapters
    // of `key`, and at least `least` tokens and at most `most` bytes. Blocks and throws likewise.
    std::optional<StoredSequence> last(const SequenceKey & key, size_t least, uint64_t most);

    // Keeps such a copy for the owner's next turn. False if there is no room for it. Blocks likewise. Throws
    // Error(LUUP_ERROR_CLOSED).
    bool adopt(StoredSequence sequence);

    // Returns how many of `tokens` the context has, for a completion with this key. Blocks likewise. Throws
    // Error(LUUP_ERROR_CLOSED).
    size_t cached_tokens(const SequenceKey & key, const std::vector<llama_token> & tokens);

    // Decodes one token. Blocks likewise. Throws Error.
    void warmup();

    // Ends all completions with LUUP_ERROR_CLOSED, then the thread. Idempotent.
    void close();

    // Everything but the `size` field.
    luup_model_stats stats() const { return inbox_.stats(); }

    // Only while nothing was submitted yet.
    MemoryUse memory() const { return context_->memory(); }
    MemoryUse draft_memory() const {
        return draft_model_ ? draft_model_->memory() : mtp_heads_ ? mtp_heads_->memory() : MemoryUse();
    }

    // Why the model's heads make no guesses, though they were wanted; "" if they do.
    const std::string & mtp_failure() const { return mtp_failure_; }

    // Those that completions may ask for.
    Adapters & adapters() const { return *adapters_; }

    // In tokens.
    int32_t context_size() const { return context_size_; }
    int32_t max_sequences() const { return max_sequences_; }

    // Whether Completion::prefix has an effect.
    bool keeps_prefixes() const { return keeps_prefixes_; }

  private:
    using Ended = std::optional<Failure>;

    // The thread's loop, and the end of completions (engine.cpp).
    void                       run();
    bool                       take_in();
    void                       run_tasks();
    template <typename F> auto ask_thread(F task) -> decltype(task());
    Ended                      reason_to_end(const Completion & completion) const;
    void                       drop_ended();
    void                       erase_ended();
    void                       end(Active & active, luup_finish_reason reason, const Failure & failure);
    void                       remember(uint64_t owner, const std::vector<llama_token> & tokens);
    void                       end_waiting(Waiting & waiting, const Failure & failure);
    void                       end_all(const Failure & failure);
    void                       publish_stats();
    std::string                lost_weights() const;
    void                       check_weights() const;
    void                       release_context();

    // The queue, and who gets a sequence (admission.cpp).
    void queue(Waiting waiting, bool first);
    void admit();
    bool admit_one(Waiting & waiting);
    bool must_wait_for_prefix(Waiting & waiting);
    bool has_room(const Waiting & waiting) const;
    void load_prefix(Active & active, Sequence & sequence);
    void keep_prefix(Active & active);
    void mark_checkpoint(Active & active, const Sequence & sequence) const;
    bool make_room(size_t n);
    void preempt();

    // Filling of a batch (batching.cpp).
    void   fill_batch();
    void   choose_group();
    size_t make_drafts(size_t decoding, size_t prefilling);
    size_t guess(size_t decoding, size_t drafted);
    void   look_for_heads(bool prefills);
    void   keep_rows(const Active & active, size_t begin, size_t n, int32_t row);
    bool   may_guess(const Active & active) const;
    size_t max_draft_tokens(const Active & active) const;
    void   add_to_batch(Active & active, int32_t n);
    void   add_draft(const Active & active, llama_pos position);

    // Decoding of pictures and sounds (media_step.cpp).
    void        step_media();
    MediaSpan & span_of(Active & active);
    int32_t     vectors_of_step(const Active & active, const MediaSpan & span, int32_t first) const;
    int         decode_media(Active & active, const MediaSpan & span, int32_t first, int32_t n);

    // Decoding of a batch (step.cpp).
    void step();
    void step_tokens();
    int  decode();
    void roll_back_batch(bool failed);
    void fail_batch(int rc);
    void after_decode();
    bool sample(Active & active);
    bool choose(Active & active, int32_t row);
    bool append(Active & active, llama_token token);
    void retract(Active & active, size_t n);
    bool should_abort();

    const llama_vocab * vocab_;
    RpcServers *        servers_;
    const MappedFiles * files_;
    MediaEncoder *      encoder_;

    const std::shared_ptr<Adapters> adapters_;  // never null

    int32_t context_size_   = 0;
    int32_t max_sequences_  = 0;
    bool    keeps_prefixes_ = false;

    // Used by the engine's thread alone, as soon as it runs.
    std::unique_ptr<Context>             context_;
    std::unique_ptr<Batch>               batch_;
    std::unique_ptr<MediaBatch>          media_batch_;  // null until it is needed
    std::unique_ptr<SequencePool>        sequences_;
    std::shared_ptr<PrefixCache>         prefixes_;
    std::vector<std::unique_ptr<Active>> active_;  // by priority, then by age: the first is the last to be preempted
    std::deque<Waiting>                  waiting_;
    std::vector<Active *>       group_;  // the active ones that the next batch may take: their adapters are alike
    AdapterSet                  applied_ = 0;  // the adapters of the last batch
    Clock::time_point           group_since_;  // when they were applied
    std::vector<Active *>       in_batch_;
    Completion::Choice          choice_;  // of choose(), kept for its memory
    std::vector<float>          row_;  // the logits as the model gave them, if a completion asks for them
    std::vector<llama_token>    ranking_;  // the same
    std::unique_ptr<DraftModel> draft_model_;  // may be null
    std::unique_ptr<MtpHeads>   mtp_heads_;  // may be null
    std::string                 mtp_failure_;
    bool                        heads_wanted_ = false;  // a guess of the heads would pay
    int32_t                     heads_idle_   = 0;  // batches since then
    DraftPolicy                 draft_policy_;
    DecodeTimes                 times_;
    ThreadCount                 few_tokens_threads_, many_tokens_threads_;  // of a batch
    Clock::time_point           decoded_;  // the end of the last decode
    luup_model_stats            totals_          = {};  // what publish_stats() publishes
    uint64_t                    admissions_      = 0;
    uint64_t                    seen_interrupts_ = 0;
    bool                        abortable_       = false;  // a prefill is decoded: worth aborting

    // The tokens that each owner's last turn left in the context. They may have left it since: for room, or because the
    // sequence could not be cut where the next prompt differed.
    std::unordered_map<uint64_t, std::vector<llama_token>> computed_;

    Inbox       inbox_;  // shared with all threads
    std::mutex  close_mutex_;
    std::thread thread_;
};

}  // namespace luup
