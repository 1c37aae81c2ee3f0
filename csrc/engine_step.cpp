// One decode of the engine: what goes into the batch, and what comes out of it.
#include "engine.h"

#include "log.h"
#include "logits.h"

#include <algorithm>

namespace luup {

namespace {

// While others decode, a prompt comes in by this many tokens a step: it bounds the gap between two tokens of the others.
constexpr int32_t prefill_chunk = 128;

// A decode of more tokens than this is aborted by a cancel; a shorter one ends soon by itself.
constexpr int32_t abort_threshold = 32;

// Longer drafts are seldom right to their end.
constexpr size_t max_draft = 8;

}  // namespace

void Engine::step() {
    fill_batch();
    if (in_batch_.empty()) {
        return;
    }
    const auto begin = Clock::now();
    abortable_       = batch_.n_tokens > abort_threshold;
    const int rc     = llama_decode(context_, batch_);
    abortable_       = false;
    log_expect_errors(false);
    totals_.batches++;
    llama_synchronize(context_);
    try {
        check_servers();
    } catch (...) {
        roll_back_batch();
        throw;
    }
    if (rc == 0) {
        totals_.batch_tokens += static_cast<uint64_t>(batch_.n_tokens);
        totals_.largest_batch = std::max(totals_.largest_batch, batch_.n_tokens);
        if (n_outputs_ == batch_.n_tokens) {  // no prompt in it
            times_.record(static_cast<size_t>(batch_.n_tokens), std::chrono::duration<double>(Clock::now() - begin).count());
        }
        after_decode();
        return;
    }
    roll_back_batch();
    if (rc == 2) {
        return;  // aborted: drop_ended() finds out for whom, the others try again
    }
    if (rc == 1 && sequences_->evict()) {
        return;
    }
    if (rc == 1 && active_.size() > 1) {
        preempt();
        return;
    }
    const std::vector<Active *> failed = in_batch_;
    for (Active * a : failed) {
        if (rc == 1) {
            end(*a, LUUP_FINISH_NONE,
                { LUUP_ERROR_CONTEXT_FULL, "the context is full: " + std::to_string(a->tokens.size()) + " tokens of " + std::to_string(n_ctx_) });
        } else {
            end(*a, LUUP_FINISH_NONE, { LUUP_ERROR_INFERENCE_FAILED, "llama_decode failed with code " + std::to_string(rc) });
        }
    }
    erase_ended();
}

// What is in the batch was not decoded.
void Engine::roll_back_batch() {
    for (Active * a : in_batch_) {
        sequences_->rollback(*a->sequence);
    }
}

// First a token for everyone who decodes, then as much of the prompts as the step may take.
void Engine::fill_batch() {
    batch_.n_tokens = 0;
    n_outputs_      = 0;
    in_batch_.clear();
    size_t decoding = 0, prefilling = 0;
    for (const auto & a : active_) {
        (a->decoding() ? decoding : prefilling)++;
    }
    const size_t  drafted = make_drafts(decoding, prefilling);
    const int32_t budget  = std::min(n_batch_, decoding == 0 ? n_batch_ : static_cast<int32_t>(decoding) + prefill_chunk);
    size_t        needed  = decoding + drafted;
    for (const auto & a : active_) {
        needed += a->decoding() ? 0 : a->pending();
    }
    if (!make_room(std::min(needed, static_cast<size_t>(budget)))) {
        return;
    }
    for (bool prefill : { false, true }) {
        for (const auto & a : active_) {
            if (a->decoding() != prefill && batch_.n_tokens < budget) {
                add_to_batch(*a, std::min(static_cast<int32_t>(a->pending()), budget - batch_.n_tokens));
            }
        }
    }
}

// Guesses for those who decode, where they pay. Not beside a prompt that comes in: it keeps the machine busy as it is.
size_t Engine::make_drafts(size_t decoding, size_t prefilling) {
    const size_t rows    = std::min(static_cast<size_t>(n_outputs_max_), static_cast<size_t>(n_batch_));
    size_t       drafted = 0;
    for (const auto & a : active_) {
        a->draft.clear();
        const Completion & completion = *a->completion;
        if (prefilling > 0 || !a->decoding() || !completion.sampling.prompt_lookup || completion.score_from > 0 || !sequences_->can_shorten()) {
            continue;
        }
        const size_t max_tokens = completion.sampling.max_tokens < 0 ? SIZE_MAX : static_cast<size_t>(completion.sampling.max_tokens - a->metrics.answer_tokens);
        const size_t left       = std::min(static_cast<size_t>(n_ctx_) - a->tokens.size(), max_tokens - std::min<size_t>(max_tokens, 1));
        a->lookup.draft(a->tokens, std::min({ max_draft, left, rows - std::min(rows, decoding + drafted) }), a->draft);
        a->draft.resize(a->drafts.worth(a->draft.size(), decoding - 1 + drafted, times_));
        drafted += a->draft.size();
    }
    return drafted;
}

void Engine::add_to_batch(Active & active, int32_t n) {
    const size_t begin = active.sequence->tokens.size();
    const size_t first = active.completion->score_from;  // the token before it has the first row that counts
    active.scored      = -1;
    active.output      = -1;
    if (first > 0) {
        // The context holds rows of logits for as many tokens as there can be sequences.
        const size_t rows = static_cast<size_t>(n_seq_max_ - n_outputs_ - static_cast<int32_t>(active_.size() - in_batch_.size() - 1));
        const size_t from = std::max(begin, first - 1);
        n                 = static_cast<int32_t>(std::min(begin + static_cast<size_t>(n), from + std::min(rows, active.tokens.size())) - begin);
        if (n <= 0) {
            return;
        }
    }
    if (active.keep > begin) {  // its state can be copied as it is between two decodes
        n = std::min(n, static_cast<int32_t>(active.keep - begin));
    }
    for (int32_t i = 0; i < n; i++) {
        const int32_t at     = batch_.n_tokens++;
        const bool    scored = first > 0 && begin + static_cast<size_t>(i) + 1 >= first;
        batch_.token[at]     = active.tokens[begin + i];
        batch_.pos[at]       = static_cast<llama_pos>(begin) + i;
        batch_.n_seq_id[at]  = 1;
        batch_.seq_id[at][0] = active.sequence->id;
        batch_.logits[at]    = scored;
        n_outputs_ += scored;
        active.scored = scored && active.scored < 0 ? at : active.scored;
    }
    active.queued = n;
    if (first == 0 && begin + n == active.tokens.size()) {
        active.output                = batch_.n_tokens - 1;
        batch_.logits[active.output] = 1;
        n_outputs_++;
        add_draft(active);
    }
    in_batch_.push_back(&active);
}

// A row of logits for each drafted token, too: what the model would have said after it.
void Engine::add_draft(const Active & active) {
    for (size_t i = 0; i < active.draft.size(); i++) {
        const int32_t at     = batch_.n_tokens++;
        batch_.token[at]     = active.draft[i];
        batch_.pos[at]       = static_cast<llama_pos>(active.tokens.size() + i);
        batch_.n_seq_id[at]  = 1;
        batch_.seq_id[at][0] = active.sequence->id;
        batch_.logits[at]    = 1;
        n_outputs_++;
    }
    totals_.tokens_drafted += active.draft.size();
}

// Makes the context hold `n` more tokens: parked sequences go first, then the youngest completion waits again. False if the
// batch must be made anew, because a completion that was to be in it is gone.
bool Engine::make_room(size_t n) {
    while (sequences_->cells_used() + n > sequences_->cells_total()) {
        if (sequences_->evict()) {
            continue;
        }
        if (active_.size() > 1) {
            preempt();
            return false;
        }
        return true;  // the last one fits: a completion never has more tokens than the context
    }
    return true;
}

// Sets the last active completion back to the head of the queue. It keeps its tokens and will compute them again.
void Engine::preempt() {
    std::unique_ptr<Active> active = std::move(active_.back());
    active_.pop_back();
    active->computed = active->sequence->tokens.size();
    sequences_->release(*active->sequence);
    active->sequence                       = nullptr;
    std::shared_ptr<Completion> completion = active->completion;
    queue({ std::move(completion), std::move(active) }, true);
    totals_.preemptions++;
}

void Engine::after_decode() {
    for (Active * a : in_batch_) {
        const size_t at = a->sequence->tokens.size();
        const size_t n  = static_cast<size_t>(a->queued);
        sequences_->append(*a->sequence, a->tokens.data() + at, n);
        if (a->metrics.answer_tokens == 0) {
            totals_.tokens_prefilled += n;
            a->completion->on_progress(static_cast<int32_t>(a->sequence->tokens.size()), a->metrics.prompt_tokens);
        }
        if (a->keep > 0 && a->keep == a->sequence->tokens.size()) {
            keep_prefix(*a);
        }
    }
    bool ended = false;
    for (Active * a : in_batch_) {
        ended = (a->output >= 0 && !sample(*a)) || ended;
        ended = (a->scored >= 0 && !score(*a)) || ended;
    }
    if (ended) {
        erase_ended();
    }
}

// Lets a completion choose what follows, as long as that is what was drafted. False if that ended it.
bool Engine::sample(Active & active) {
    for (size_t right = 0;;) {
        const size_t end = active.tokens.size();
        if (!choose(active, active.output + static_cast<int32_t>(right))) {
            return false;
        }
        if (active.draft.empty()) {
            return true;
        }
        size_t same = 0;
        while (end + same < active.tokens.size() && right + same < active.draft.size() && active.tokens[end + same] == active.draft[right + same]) {
            same++;
        }
        sequences_->append(*active.sequence, active.draft.data() + right, same);
        totals_.drafts_accepted += same;
        right += same;
        if (same == 0 || end + same < active.tokens.size()) {
            active.drafts.record(right, active.draft.size());
            sequences_->rollback(*active.sequence);
            active.draft.clear();
            return true;
        }
    }
}

// What a completion chooses, given the batch's row `row`. False if that ended it.
bool Engine::choose(Active & active, int32_t row) {
    try {
        float * logits = llama_get_logits_ith(context_, row);
        if (!logits) {
            fail(LUUP_ERROR_INFERENCE_FAILED, "llama.cpp gave no logits");
        }
        choice_.take_back = 0;
        choice_.tokens.clear();
        active.completion->choose(active.sampler, logits, choice_);
        active.last_token = Clock::now();
        take_back(active, choice_.take_back);
        for (llama_token token : choice_.tokens) {
            if (!take(active, token)) {
                return false;
            }
        }
    } catch (...) {
        end(active, LUUP_FINISH_NONE, current_failure());
        return false;
    }
    return true;
}

// The last `n` tokens of an answer are none. The one before them is decoded again, for the logits after it.
void Engine::take_back(Active & active, size_t n) {
    if (n == 0) {
        return;
    }
    active.tokens.resize(active.tokens.size() - n);
    active.metrics.answer_tokens -= static_cast<int32_t>(n);
    sequences_->shorten(*active.sequence, active.tokens.size() - 1);
}

// Appends a token to an answer. False if that ended it. Throws Error.
bool Engine::take(Active & active, llama_token token) {
    totals_.tokens_decoded++;
    if (active.metrics.answer_tokens++ == 0) {
        active.first_token = active.last_token;
    }
    if (llama_vocab_is_eog(vocab_, token)) {
        end(active, LUUP_FINISH_STOP, {});
        return false;
    }
    active.sampler.accept(token);
    if (!active.completion->on_token(token)) {
        end(active, LUUP_FINISH_STOP, {});
        return false;
    }
    const int32_t max_tokens = active.completion->sampling.max_tokens;
    if (max_tokens >= 0 && active.metrics.answer_tokens >= max_tokens) {
        end(active, LUUP_FINISH_LENGTH, {});
        return false;
    }
    active.tokens.push_back(token);
    if (active.tokens.size() > static_cast<size_t>(n_ctx_)) {
        if (max_tokens < 0) {
            end(active, LUUP_FINISH_LENGTH, {});
            return false;
        }
        fail(LUUP_ERROR_CONTEXT_FULL, "the context is full: a prompt of %d tokens and an answer of %d fill its %d tokens", active.metrics.prompt_tokens,
             active.metrics.answer_tokens, n_ctx_);
    }
    return true;
}

// Adds up the log-probabilities of the tokens whose rows the batch gave. False if those were the last, which ends the completion.
bool Engine::score(Active & active) {
    const size_t  end_  = active.sequence->tokens.size();
    const int32_t n     = llama_vocab_n_tokens(vocab_);
    const int32_t rows  = static_cast<int32_t>(end_ - (std::max(end_ - static_cast<size_t>(active.queued), active.completion->score_from - 1)));
    const size_t  first = end_ - static_cast<size_t>(rows) + 1;  // the token that the first row is about
    for (int32_t i = 0; i < rows && first + static_cast<size_t>(i) < active.tokens.size(); i++) {
        const float * logits = llama_get_logits_ith(context_, active.scored + i);
        if (!logits) {
            end(active, LUUP_FINISH_NONE, { LUUP_ERROR_INFERENCE_FAILED, "llama.cpp gave no logits" });
            return false;
        }
        active.metrics.score += logits[active.tokens[first + static_cast<size_t>(i)]] - log_sum_exp(logits, n);
    }
    if (active.pending() > 0) {
        return true;
    }
    active.last_token = active.first_token = Clock::now();
    end(active, LUUP_FINISH_STOP, {});
    return false;
}

// Asked by ggml between the operations of a decode on the CPU.
bool Engine::should_abort() {
    bool abort = closing_.load(std::memory_order_relaxed);
    if (abortable_ && !abort) {
        const bool interrupted = interrupts_.load(std::memory_order_acquire) != seen_interrupts_;
        abort                  = std::any_of(in_batch_.begin(), in_batch_.end(), [&](const Active * a) {
            return (interrupted && a->completion->cancelled) || (a->completion->deadline && Clock::now() >= *a->completion->deadline);
        });
    }
    if (abort) {
        log_expect_errors(true);
    }
    return abort;
}

}  // namespace luup
