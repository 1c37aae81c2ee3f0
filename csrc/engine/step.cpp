// One decode of the engine, and its results: sampled tokens, drafts that were right.
#include "engine/engine.h"

#include "base/interrupt.h"
#include "base/log.h"
#include "engine/token_probabilities.h"

#include <algorithm>
#include <new>

namespace luup {

namespace {

// A cancelled completion aborts a decode of more tokens than this; a shorter one ends soon by itself.
constexpr int32_t abort_threshold = 32;

// Up to this number of tokens a decode mostly reads the weights, and its threads meet often; more tokens compute.
constexpr int32_t few_tokens = 32;

// The cost of a further token of such a decode, as a part of the first one: a rough figure is enough to compare
// moments.
constexpr double further_token = 0.15;

// Results of llama_decode() other than 0.
constexpr int no_room   = 1;
constexpr int aborted   = 2;
constexpr int no_memory = -2;

}  // namespace

void Engine::step() {
    fill_batch();
    if (!in_batch_.empty()) {
        step_tokens();
    }
    if (encoder_) {
        step_media();
    }
}

// Decodes the batch of tokens.
void Engine::step_tokens() {
    const int rc = decode();
    log_expect_errors(false);
    totals_.batches++;
    try {
        check_weights();
    } catch (...) {
        roll_back_batch(true);
        throw;
    }
    if (rc != 0) {
        roll_back_batch(rc != no_room);
        fail_batch(rc);
        return;
    }
    totals_.batch_tokens += static_cast<uint64_t>(batch_->size());
    totals_.largest_batch = std::max(totals_.largest_batch, batch_->size());
    after_decode();
}

// Decodes the batch, and learns how long that takes. Returns llama_decode()'s result.
int Engine::decode() {
    const int32_t tokens  = batch_->size();
    ThreadCount & threads = tokens > few_tokens ? many_tokens_threads_ : few_tokens_threads_;
    context_->set_threads(threads.count());
    totals_.threads       = threads.count();
    const auto   begin    = Clock::now();
    const double computed = thread_seconds();
    abortable_            = tokens > abort_threshold;
    int rc                = 0;
    try {
        rc = llama_decode(context_->get(), batch_->get());
    } catch (const std::bad_alloc &) {
        rc = no_memory;
    }
    abortable_ = false;
    llama_synchronize(context_->get());
    const double idle = seconds(decoded_, begin);
    decoded_          = Clock::now();
    if (rc == 0) {
        const double wall = seconds(begin, decoded_);
        const double work = tokens > few_tokens ? tokens : 1 + (tokens - 1) * further_token;
        threads.record(work, wall, thread_seconds() - computed, idle);
        if (batch_->outputs() == tokens) {  // nothing was prefilled
            times_.record(static_cast<size_t>(tokens), wall);
        }
    }
    return rc;
}

// Removes from the context what a decode left there that `failed`, or found no room.
void Engine::roll_back_batch(bool failed) {
    for (Active * a : in_batch_) {
        sequences_->rollback(*a->sequence, failed);
    }
}

// The decode failed: makes room where that helps, and ends the completions in the batch where nothing does.
void Engine::fail_batch(int rc) {
    if (rc == aborted) {
        return;  // drop_ended() finds out for whom, the others try again
    }
    if (rc == no_room && sequences_->evict()) {
        return;
    }
    if (rc == no_room && active_.size() > 1) {
        preempt();
        return;
    }
    for (Active * a : in_batch_) {
        if (rc == no_memory) {
            end(*a, LUUP_FINISH_NONE, { LUUP_ERROR_OUT_OF_MEMORY, "there is not enough memory to decode a batch" });
        } else if (rc == no_room) {
            end(*a, LUUP_FINISH_NONE,
                { LUUP_ERROR_CONTEXT_FULL, "the context is full: " + std::to_string(a->tokens.size()) + " tokens of " +
                                               std::to_string(context_size_) });
        } else {
            end(*a, LUUP_FINISH_NONE,
                { LUUP_ERROR_INFERENCE_FAILED, "llama_decode failed with code " + std::to_string(rc) });
        }
    }
    erase_ended();
}

void Engine::after_decode() {
    for (Active * a : in_batch_) {
        const size_t at = a->sequence->tokens.size();
        const size_t n  = static_cast<size_t>(a->batch.tokens);
        sequences_->append(*a->sequence, a->tokens.data() + at, n);
        keep_rows(*a, at, n, a->batch.first);
        if (a->metrics.answer_tokens == 0) {
            totals_.tokens_prefilled += n;
            a->completion->on_progress(static_cast<int32_t>(a->sequence->tokens.size()), a->metrics.prompt_tokens);
        }
        if (a->keep > 0 && a->keep == a->sequence->tokens.size()) {
            keep_prefix(*a);
        }
        if (a->is_marked(a->sequence->tokens.size())) {
            sequences_->checkpoint(*a->sequence, false);
        }
    }
    bool ended = false;
    for (Active * a : in_batch_) {
        ended = (a->batch.output >= 0 && !sample(*a)) || ended;
    }
    if (mtp_heads_) {
        mtp_heads_->read();
    }
    if (ended) {
        erase_ended();
    }
}

// Keeps the hidden rows of a completion's decoded tokens for the model's heads; they begin at `row` of the batch.
void Engine::keep_rows(const Active & active, size_t begin, size_t n, int32_t row) {
    if (mtp_heads_ && mtp_heads_->looks() && row >= 0 && n > 0) {
        mtp_heads_->keep({ static_cast<size_t>(active.sequence->id), &active.tokens, begin, n,
                           sequences_->position(active.tokens, begin), row });
    }
}

// Lets a completion choose what follows, again and again as long as that is what was drafted. False if that ended it.
bool Engine::sample(Active & active) {
    const std::vector<llama_token> & draft = active.draft.tokens;
    for (size_t right = 0;;) {
        const size_t end = active.tokens.size();
        if (!choose(active, active.batch.output + static_cast<int32_t>(right))) {
            return false;
        }
        if (draft.empty()) {
            return true;
        }
        size_t same = 0;
        while (end + same < active.tokens.size() && right + same < draft.size() &&
               active.tokens[end + same] == draft[right + same]) {
            same++;
        }
        sequences_->append(*active.sequence, draft.data() + right, same);
        keep_rows(active, end, same, active.batch.output + 1 + static_cast<int32_t>(right));
        totals_.drafts_accepted += same;
        right += same;
        if (same == 0 || end + same < active.tokens.size()) {
            (active.draft.guessed ? active.draft.of_model.record : active.draft.record).record(right, draft.size());
            sequences_->rollback(*active.sequence);
            active.draft.tokens.clear();
            return true;
        }
    }
}

// Lets a completion choose what follows, given the batch's row `row`. False if that ended it.
bool Engine::choose(Active & active, int32_t row) {
    const InterruptScope scope([&] { return reason_to_end(*active.completion); });
    try {
        float * logits = llama_get_logits_ith(context_->get(), row);
        if (!logits) {
            fail(LUUP_ERROR_INFERENCE_FAILED, "llama.cpp gave no logits");
        }
        choice_.retracted = 0;
        choice_.tokens.clear();
        const Sampling & sampling = active.completion->sampling;
        if (sampling.wants_logprobs()) {
            row_.assign(logits, logits + llama_vocab_n_tokens(vocab_));
        }
        active.sampler.adjust(logits);
        active.completion->choose(active.sampler, logits, choice_);
        active.times.last_token = Clock::now();
        retract(active, choice_.retracted);
        if (sampling.wants_logprobs() && !choice_.tokens.empty()) {
            active.completion->on_probabilities(token_probabilities(
                row_, choice_.tokens.front(), static_cast<size_t>(sampling.top_logprobs), ranking_));
        }
        for (llama_token token : choice_.tokens) {
            if (!append(active, token)) {
                return false;
            }
        }
    } catch (...) {
        if (active.sequence) {  // append() has not ended it
            end(active, LUUP_FINISH_NONE, current_failure());
        }
        return false;
    }
    return true;
}

// Retracts the last `n` tokens of an answer. The token before them is decoded again, for the logits after it.
void Engine::retract(Active & active, size_t n) {
    if (n == 0) {
        return;
    }
    for (size_t i = active.tokens.size() - n; i < active.tokens.size(); i++) {
        active.sampler.discount(active.tokens[i]);
    }
    active.tokens.resize(active.tokens.size() - n);
    active.metrics.answer_tokens -= static_cast<int32_t>(n);
    sequences_->shorten(*active.sequence, active.tokens.size() - 1);
}

// Appends a token to an answer. False if that ended it. Throws Error.
bool Engine::append(Active & active, llama_token token) {
    totals_.tokens_decoded++;
    if (active.metrics.answer_tokens++ == 0) {
        active.times.first_token = active.times.last_token;
    }
    if (llama_vocab_is_eog(vocab_, token)) {
        end(active, LUUP_FINISH_STOP, {});
        return false;
    }
    active.sampler.accept(token);
    active.sampler.count(token);
    if (!active.completion->on_token(token)) {
        end(active, LUUP_FINISH_STOP, {});
        return false;
    }
    const int32_t max_tokens = active.completion->sampling.max_tokens;
    if (max_tokens >= 0 && active.metrics.answer_tokens - active.completion->thought_tokens >= max_tokens) {
        end(active, LUUP_FINISH_LENGTH, {});
        return false;
    }
    active.tokens.push_back(token);
    if (active.tokens.size() > static_cast<size_t>(context_size_)) {
        if (max_tokens < 0) {
            end(active, LUUP_FINISH_LENGTH, {});
            return false;
        }
        fail(LUUP_ERROR_CONTEXT_FULL,
             "the context is full: a prompt of %d tokens and an answer of %d fill its %d tokens",
             active.metrics.prompt_tokens, active.metrics.answer_tokens, context_size_);
    }
    return true;
}

// ggml calls this between the operations of a decode on the CPU.
bool Engine::should_abort() {
    bool abort = inbox_.closing();
    if (abortable_ && !abort) {
        const bool interrupted = inbox_.interrupts() != seen_interrupts_;
        abort                  = std::any_of(in_batch_.begin(), in_batch_.end(), [&](const Active * a) {
            return (interrupted && a->completion->cancelled) ||
                   (a->completion->deadline && Clock::now() >= *a->completion->deadline);
        });
    }
    if (abort) {
        log_expect_errors(true);
    }
    return abort;
}

}  // namespace luup
