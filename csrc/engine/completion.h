// The engine's unit of work: a prompt that is to be continued.
#pragma once

#include "base/error.h"
#include "engine/sampler.h"
#include "engine/stored_sequence.h"
#include "engine/token_probabilities.h"

#include "llama.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace luup {

using Clock = std::chrono::steady_clock;

inline double seconds(Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration<double>(to - from).count();
}

// Counts and times of one completion.
struct Metrics {
    int32_t prompt_tokens       = 0;
    int32_t cached_tokens       = 0;
    int32_t recomputed_tokens   = 0;  // prefilled tokens that the owner had computed before
    int32_t answer_tokens       = 0;
    int32_t thought_tokens      = 0;  // those of the answer that are thoughts
    double  queue_seconds       = 0;
    double  prefill_seconds     = 0;
    double  decode_seconds      = 0;
    double  first_token_seconds = 0;
    double  total_seconds       = 0;
};

// The engine calls the virtual methods from its thread. They must be quick, and must not call the engine.
class Completion {
  public:
    virtual ~Completion() = default;

    virtual void on_progress(int32_t done, int32_t total) = 0;

    // How the answer goes on: its last `retracted` tokens are removed, then `tokens` are appended. Without `tokens`
    // choose() is called again with the logits that follow then.
    struct Choice {
        size_t                   retracted = 0;
        std::vector<llama_token> tokens;
    };

    // Chooses how the answer goes on, given a row of logits, which it may change.
    virtual void choose(Sampler & sampler, float * logits, Choice & choice) {
        choice.tokens = { sampler.sample(logits) };
    }

    // Takes the probabilities of the token that on_token() gets next, as the model gave them: before penalties, biases,
    // the grammar and the temperature. Only if the sampling asks for them. A token that comes without was dictated in
    // one batch with the token before it.
    virtual void on_probabilities(const TokenProbabilities & probabilities) { (void) probabilities; }

    // Takes one token of the answer. False if the answer is complete with it (a stop text came up).
    virtual bool on_token(llama_token token) = 0;

    // Called exactly once, as the last method. `failure.code` is LUUP_SUCCESS, or says why the completion ended early.
    virtual void on_end(luup_finish_reason reason, const Failure & failure, const Metrics & metrics) = 0;

    std::vector<llama_token> prompt;          // never empty
    size_t                   prefix         = 0;  // first tokens of the prompt that other prompts share; 0 = keep none
    size_t                   stable         = 0;  // first tokens of the prompt that the next prompt keeps; 0 = unknown
    int32_t                  thought_tokens = 0;  // of the answer: max_tokens does not count them; set by choose()
    Sampling                 sampling;
    SequenceKey              key;  // the agent whose next turn may reuse the KV state, or 0, and the adapters
    int32_t                  priority  = 0;  // higher ones go first
    bool                     may_draft = true;  // by a draft model
    bool                     admitted  = false;  // a later turn of a run: max_waiting does not apply
    std::optional<Clock::time_point> deadline;
    Clock::time_point                submitted = Clock::now();
    std::atomic<bool>                cancelled{ false };
};

}  // namespace luup
