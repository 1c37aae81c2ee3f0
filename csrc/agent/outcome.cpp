#include "agent/outcome.h"

#include <chrono>

namespace luup {

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

void add(Metrics & sum, const Metrics & metrics) {
    sum.prompt_tokens += metrics.prompt_tokens;
    sum.cached_tokens += metrics.cached_tokens;
    sum.recomputed_tokens += metrics.recomputed_tokens;
    sum.answer_tokens += metrics.answer_tokens;
    sum.thought_tokens += metrics.thought_tokens;
    sum.queue_seconds += metrics.queue_seconds;
    sum.prefill_seconds += metrics.prefill_seconds;
    sum.decode_seconds += metrics.decode_seconds;
}

void Outcome::add_turn(const Metrics & turn) {
    if (metrics.answer_tokens == 0) {
        metrics.first_token_seconds = turn.first_token_seconds + summary_seconds;
    }
    add(metrics, turn);
}

void Outcome::write(luup_event & event) const {
    event.error               = failure.code;
    event.finish_reason       = reason;
    event.prompt_tokens       = metrics.prompt_tokens;
    event.cached_tokens       = metrics.cached_tokens;
    event.recomputed_tokens   = metrics.recomputed_tokens;
    event.answer_tokens       = metrics.answer_tokens;
    event.reasoning_tokens    = metrics.thought_tokens;
    event.queue_seconds       = metrics.queue_seconds;
    event.prefill_seconds     = metrics.prefill_seconds;
    event.decode_seconds      = metrics.decode_seconds;
    event.first_token_seconds = metrics.first_token_seconds;
    event.total_seconds       = metrics.total_seconds;
    event.turns               = turns;
    event.confidence          = confidence.c_str();
}

}  // namespace luup
