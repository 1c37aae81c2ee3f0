// Fills the batch of one decode: prompts, next tokens and drafts.
#include "engine/engine.h"
#include "engine/prefill_shares.h"
#include "tokens/media_token.h"

#include <algorithm>

namespace luup {

namespace {

// While others decode, prompts are prefilled by at most this many tokens a step: it limits the time between two tokens
// of the others.
constexpr int32_t prefill_chunk = 128;

// How long the completions of one set of adapters are decoded while others wait.
constexpr std::chrono::milliseconds adapters_turn(100);

// Longer drafts are seldom right to their end.
constexpr size_t max_draft = 8;

// The model's heads are given rows until no guess of theirs paid for so many batches.
constexpr int32_t heads_patience = 16;

}  // namespace

// Adds one token for each completion that decodes, then as much of the prompts as the step may take.
void Engine::fill_batch() {
    batch_->clear();
    in_batch_.clear();
    choose_group();
    size_t decoding = 0, prefilling = 0;
    for (const Active * a : group_) {
        (a->decoding() ? decoding : prefilling)++;
    }
    const size_t drafted = make_drafts(decoding, prefilling);
    if (mtp_heads_) {
        look_for_heads(prefilling > 0);
    }
    const int32_t capacity = context_->batch_size();
    const int32_t budget =
        decoding == 0 ? capacity : std::min(capacity, static_cast<int32_t>(decoding) + prefill_chunk);
    size_t needed = decoding + drafted;
    for (const Active * a : group_) {
        needed += a->decoding() ? 0 : a->pending();
    }
    if (!make_room(std::min(needed, static_cast<size_t>(budget)))) {
        return;
    }
    std::vector<Active *>      prompts;
    std::vector<WaitingPrompt> waiting;
    for (Active * a : group_) {
        if (is_media(a->tokens[a->sequence->tokens.size()])) {
            continue;  // step_media() has it
        }
        if (!a->decoding()) {
            prompts.push_back(a);
            waiting.push_back({ a->completion->priority, static_cast<int32_t>(a->pending()) });
        } else if (batch_->size() < budget) {
            add_to_batch(*a, 1);
        }
    }
    const std::vector<int32_t> shares = share_prefill(waiting, budget - batch_->size());
    for (size_t i = 0; i < prompts.size(); i++) {
        if (shares[i] > 0) {
            add_to_batch(*prompts[i], shares[i]);
        }
    }
}

// Chooses the completions of the next batch: those of one set of adapters, since a decode takes one set. Several sets
// take turns, each for a while, since llama.cpp plans its memory again for each change.
void Engine::choose_group() {
    const auto same  = [&](const std::unique_ptr<Active> & a) { return a->adapters() == applied_; };
    const bool other = !std::all_of(active_.begin(), active_.end(), same);
    const bool any   = std::any_of(active_.begin(), active_.end(), same);
    if (other && (!any || Clock::now() - group_since_ >= adapters_turn)) {
        constexpr AdapterSet none     = UINT32_MAX;
        AdapterSet           smallest = none, next = none;  // the next larger set, or the smallest one
        for (const auto & a : active_) {
            smallest = std::min(smallest, a->adapters());
            next     = a->adapters() > applied_ ? std::min(next, a->adapters()) : next;
        }
        applied_     = next == none ? smallest : next;
        group_since_ = Clock::now();
        adapters_->apply(context_->get(), applied_);
    }
    group_.clear();
    for (const auto & a : active_) {
        if (same(a)) {
            group_.push_back(a.get());
        }
    }
}

// Drafts the next tokens where that saves time. Not beside a prefill, which keeps the machine busy by itself. Returns
// the number of guessed tokens.
size_t Engine::make_drafts(size_t decoding, size_t prefilling) {
    const size_t rows    = static_cast<size_t>(std::min(context_->max_outputs(), context_->batch_size()));
    size_t       drafted = 0;
    for (Active * a : group_) {
        Drafting & draft = a->draft;
        draft.tokens.clear();
        draft.guessed                 = false;
        const Completion & completion = *a->completion;
        if (prefilling > 0 || !a->decoding() || !completion.sampling.prompt_lookup || !may_guess(*a)) {
            continue;
        }
        const size_t free_rows = rows - std::min(rows, decoding + drafted);
        draft.lookup.draft(a->tokens, std::min(max_draft_tokens(*a), free_rows), draft.tokens);
        draft.tokens.erase(std::find_if(draft.tokens.begin(), draft.tokens.end(), is_media), draft.tokens.end());
        draft.tokens.resize(draft.record.worth(draft.tokens.size(), decoding - 1 + drafted, times_));
        drafted += draft.tokens.size();
    }
    const bool guesses = draft_model_ || mtp_heads_;
    return prefilling > 0 || !guesses ? drafted : drafted + guess(decoding, drafted);
}

// Whether tokens may be guessed behind the completion's next one. Not where its sequence is copied then: a recurrent
// state would be that behind the guesses.
bool Engine::may_guess(const Active & active) const {
    const size_t end = active.tokens.size();
    return sequences_->can_shorten() ||
           (sequences_->most_refused() > 0 && active.keep != end && !active.is_marked(end));
}

// Has the draft model, or the model's own heads, guess for those without a draft, where that pays. Returns the number
// of guessed tokens.
size_t Engine::guess(size_t decoding, size_t drafted) {
    const size_t              rows = static_cast<size_t>(std::min(context_->max_outputs(), context_->batch_size()));
    std::vector<DraftRequest> requests;
    const DraftCosts          costs = draft_model_ ? draft_model_->costs(decoding) : mtp_heads_->costs(decoding);
    for (Active * a : group_) {
        Drafting & draft      = a->draft;
        const bool reads_text = mtp_heads_ || a->completion->media.empty();  // a draft model knows no pictures
        if (!a->decoding() || !draft.tokens.empty() || !a->completion->may_draft || !reads_text || !may_guess(*a)) {
            continue;
        }
        const auto   sequence = static_cast<size_t>(a->sequence->id);
        const size_t free     = rows - std::min(rows, decoding + drafted);
        const size_t unread   = draft_model_ ? draft_model_->unread(sequence, a->tokens) : 0;
        const size_t n =
            draft_policy_.worth(draft.of_model, std::min(max_draft_tokens(*a), free), decoding - 1 + drafted, decoding,
                                static_cast<size_t>(a->metrics.answer_tokens), unread, costs, times_);
        heads_wanted_ = heads_wanted_ || n > 0;
        if (n > 0 &&
            (draft_model_ ? draft_model_->read(sequence, a->tokens) : mtp_heads_->knows(sequence, a->tokens))) {
            requests.push_back({ sequence, &a->tokens, n, &draft.tokens });
            draft.of_model.begun = draft.guessed = true;
            drafted += n;
        }
    }
    if (draft_model_) {
        draft_model_->draft(requests);
    } else if (!requests.empty()) {
        mtp_heads_->draft(requests);
    }
    size_t guessed = 0;
    for (const DraftRequest & request : requests) {
        guessed += request.draft->size();
    }
    return guessed;
}

// Has the next decode leave rows for the model's heads, while these may pay.
void Engine::look_for_heads(bool prefills) {
    const bool wanted = heads_wanted_ || (prefills && draft_policy_.hopes(max_draft, mtp_heads_->costs(1), times_));
    heads_idle_       = wanted ? 0 : heads_idle_ + 1;
    heads_wanted_     = false;
    mtp_heads_->look(wanted || (mtp_heads_->looks() && heads_idle_ < heads_patience));
}

// How many guessed tokens the context and max_tokens leave room for, behind the next one.
size_t Engine::max_draft_tokens(const Active & active) const {
    const int32_t max_tokens = active.completion->sampling.max_tokens;
    const int32_t counted    = active.metrics.answer_tokens - active.completion->thought_tokens;
    const size_t  answer     = max_tokens < 0 ? SIZE_MAX : static_cast<size_t>(max_tokens - counted);
    const size_t  room       = static_cast<size_t>(context_size_) - active.tokens.size();
    return std::min({ max_draft, sequences_->most_refused(), room, answer - std::min<size_t>(answer, 1) });
}

// Adds up to `n` of the completion's pending tokens.
void Engine::add_to_batch(Active & active, int32_t n) {
    const size_t begin = active.sequence->tokens.size();
    active.batch       = {};
    n                  = static_cast<int32_t>(std::min(static_cast<size_t>(n), active.until_copy(begin)));
    llama_pos position = sequences_->position(active.tokens, begin);
    for (size_t at = begin; at < begin + static_cast<size_t>(n) && !is_media(active.tokens[at]); at++) {
        const bool    last  = at + 1 == active.tokens.size();
        const int32_t row   = batch_->add(active.tokens[at], position++, active.sequence->id, last);
        active.batch.output = last ? row : -1;
        active.batch.first  = active.batch.first < 0 ? row : active.batch.first;
        active.batch.tokens++;
    }
    if (active.batch.output >= 0) {
        add_draft(active, position);
    }
    in_batch_.push_back(&active);
}

// Adds the guessed tokens, which begin at `position`. Each has a row of logits, too: what the model would have chosen
// after it.
void Engine::add_draft(const Active & active, llama_pos position) {
    for (const llama_token token : active.draft.tokens) {
        batch_->add(token, position++, active.sequence->id, true);
    }
    totals_.tokens_drafted += active.draft.tokens.size();
}

}  // namespace luup
