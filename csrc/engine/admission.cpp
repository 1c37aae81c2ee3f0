// The engine's queue: which completions get a sequence, and which one loses it for room.
#include "engine/engine.h"
#include "engine/token_prefix.h"
#include "tokens/media_token.h"

#include <algorithm>

namespace luup {

namespace {

// A prefix that another completion is computing right now is worth waiting for from this many tokens on.
constexpr size_t prefix_worth_waiting = 16;

// A prefix is read from the disk if that saves more than this many tokens.
constexpr size_t prefix_worth_loading = 64;

// Tokens left free for each active completion when another one is admitted.
constexpr size_t room_to_grow = 32;

}  // namespace

// Inserts before those of a lower priority; with `first`, also before those of the same priority.
void Engine::queue(Waiting waiting, bool first) {
    const int32_t priority = waiting.completion->priority;
    const auto    behind   = [&](const Waiting & w) {
        return w.completion->priority < priority || (first && w.completion->priority == priority);
    };
    waiting_.insert(std::find_if(waiting_.begin(), waiting_.end(), behind), std::move(waiting));
}

// Assigns sequences to waiting completions, first come first served within a priority. Only those that wait for a
// shared prefix let others pass.
void Engine::admit() {
    for (auto it = waiting_.begin(); it != waiting_.end();) {
        if (sequences_->count(true) >= max_sequences_) {
            return;  // before work that would be repeated at every step of a long queue
        }
        if (must_wait_for_prefix(*it)) {
            ++it;
            continue;
        }
        if (!has_room(*it) || !admit_one(*it)) {
            return;
        }
        it = waiting_.erase(it);
    }
}

// False if there is no sequence for it.
bool Engine::admit_one(Waiting & waiting) {
    Completion &            completion = *waiting.completion;
    std::unique_ptr<Active> fresh;
    if (!waiting.resumed) {
        fresh                 = std::make_unique<Active>(completion.sampling, llama_vocab_n_tokens(vocab_));
        fresh->completion     = waiting.completion;
        fresh->tokens         = completion.prompt;
        fresh->draft.of_model = draft_policy_.begin();
        for (llama_token token : completion.prompt) {
            if (!is_media(token)) {
                fresh->sampler.accept(token);
            }
        }
    }
    std::unique_ptr<Active> & active = waiting.resumed ? waiting.resumed : fresh;

    size_t computed = active->computed;  // first tokens that were computed for this owner before
    if (const auto earlier = computed_.find(completion.key.owner); fresh && earlier != computed_.end()) {
        computed = common_prefix(earlier->second, active->tokens);
    }
    Sequence * sequence = sequences_->acquire(completion.key, active->tokens);
    if (!sequence) {
        return false;
    }
    load_prefix(*active, *sequence);
    mark_checkpoint(*active, *sequence);
    if (fresh) {
        active->times.admitted = Clock::now();
        active->metrics.queue_seconds =
            std::chrono::duration<double>(active->times.admitted - completion.submitted).count();
        active->metrics.prompt_tokens = static_cast<int32_t>(completion.prompt.size());
        active->metrics.cached_tokens = static_cast<int32_t>(sequence->tokens.size());
        totals_.tokens_cached += sequence->tokens.size();
    }
    const size_t again = std::min(computed, active->tokens.size() - 1);  // the last one is always decoded
    active->metrics.recomputed_tokens += static_cast<int32_t>(again - std::min(again, sequence->tokens.size()));
    active->sequence = sequence;
    active->order    = ++admissions_;
    const auto lower = [&](const auto & a) { return a->completion->priority < completion.priority; };
    active_.insert(std::find_if(active_.begin(), active_.end(), lower), std::move(active));
    return true;
}

// Whether an active completion is computing a prefix that this one shares: of agents with the same system prompt that
// start together, the first computes it, and the others wait and share it.
bool Engine::must_wait_for_prefix(Waiting & waiting) {
    const std::vector<llama_token> & tokens = waiting.tokens();
    if (waiting.behind != 0) {
        for (const auto & a : active_) {
            if (a->order == waiting.behind) {
                return a->sequence->tokens.size() < waiting.behind_tokens;
            }
        }
    }
    waiting.behind      = 0;
    const size_t limit  = tokens.size() - 1;
    size_t       cached = 0;
    bool         looked = false;
    for (const auto & a : active_) {
        if (a->pending() <= prefix_worth_waiting || a->adapters() != waiting.completion->key.adapters) {
            continue;
        }
        const size_t common = std::min(common_prefix(a->tokens, tokens), limit);
        if (common <= a->sequence->tokens.size() + prefix_worth_waiting) {
            continue;
        }
        if (!looked) {
            cached = sequences_->cached_tokens(waiting.completion->key, tokens);
            looked = true;
        }
        if (common > cached + prefix_worth_waiting) {
            waiting.behind        = a->order;
            waiting.behind_tokens = common;
            if (!sequences_->can_shorten()) {
                a->mark(common);
            }
            return true;
        }
    }
    return false;
}

bool Engine::has_room(const Waiting & waiting) const {
    if (active_.empty()) {
        return true;
    }
    const auto & tokens = waiting.tokens();
    const size_t cached = sequences_->cached_tokens(waiting.completion->key, tokens);
    size_t       needed = tokens.size() - std::min(cached, tokens.size()) + room_to_grow;
    for (const auto & a : active_) {
        needed += a->pending() + room_to_grow;
    }
    return sequences_->cells_active() + needed <= sequences_->cells_total();
}

// Loads the completion's prefix from the disk if the sequence lacks it. If the disk lacks it too, keep_prefix() will
// save it once it is computed.
void Engine::load_prefix(Active & active, Sequence & sequence) {
    const size_t length = active.completion->prefix;
    active.keep         = 0;
    if (!keeps_prefixes_ || length <= sequence.tokens.size() + prefix_worth_loading) {
        return;
    }
    std::optional<StoredSequence> stored;
    if (prefixes_) {
        stored = prefixes_->find({ active.tokens.begin(), active.tokens.begin() + static_cast<std::ptrdiff_t>(length) },
                                 adapters_->key(active.adapters()));
    }
    if (!stored) {
        active.keep = length;
    } else if (sequences_->load(sequence, *stored)) {
        totals_.prefixes_loaded++;
        if (!sequences_->can_shorten()) {
            sequences_->checkpoint(sequence, true);
        }
    }
}

// Marks where the next prompt may part from this one: it begins with the same messages, but perhaps not with the answer
// as the model wrote it.
void Engine::mark_checkpoint(Active & active, const Sequence & sequence) const {
    const Completion & completion = *active.completion;
    const size_t       stable     = std::min(completion.stable, active.tokens.size() - 1);
    active.marks.clear();
    if (!sequences_->can_shorten() && stable > sequence.tokens.size() &&
        stable >=
            sequences_->last_checkpoint(completion.key, active.tokens, stable) + SequencePool::checkpoint_distance) {
        active.mark(stable);
    }
}

// The sequence holds exactly the completion's prefix now.
void Engine::keep_prefix(Active & active) {
    active.keep = 0;
    if (!sequences_->can_shorten()) {
        sequences_->checkpoint(*active.sequence, true);
    }
    if (prefixes_) {
        if (auto copy = sequences_->copy_of(*active.sequence)) {
            check_weights();
            prefixes_->put(std::move(*copy), adapters_->key(active.adapters()));
        }
    }
}

// Makes room in the context for `n` more tokens: first parked sequences leave, then the youngest completion of the
// lowest priority waits again. False if one did: the batch must be filled again without it.
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

// Moves the last active completion back to the head of the queue. It keeps its tokens, which will be computed again.
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

}  // namespace luup
