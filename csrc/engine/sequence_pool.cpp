#include "engine/sequence_pool.h"

#include "engine/token_prefix.h"

#include <algorithm>
#include <new>

namespace luup {

namespace {

// A shorter prefix is computed again rather than shared with a sequence that differs behind it: it costs next to
// nothing, and the first answer of an agent that runs alone then does not depend, to the last bit, on what ran before
// it. Beside active sequences it does anyway.
constexpr size_t worth_sharing_parked = 64;
constexpr size_t worth_sharing_active = 16;

// How many parked sequences without an owner are kept for their prefixes.
constexpr size_t max_orphans = 2;

bool can_cut(const llama_model * model) {
    return !llama_model_is_recurrent(model) && !llama_model_is_hybrid(model);
}

}  // namespace

SequencePool::SequencePool(llama_context * context, int32_t n_sequences, uint64_t ram)
    : context_(context),
      memory_(llama_get_memory(context)),
      partial_(can_cut(llama_get_model(context))),
      attends_(!llama_model_is_recurrent(llama_get_model(context))),
      whole_states_(llama_model_n_swa(llama_get_model(context)) <= 0),
      n_cells_(llama_n_ctx(context)),
      states_(llama_n_rs_seq(context)),
      went_back_(static_cast<size_t>(n_sequences)),
      sequences_(n_sequences),
      store_(!whole_states_ ? 0
             : partial_     ? ram
                            : ram - ram / 2),
      checkpoints_(context, partial_ ? 0 : ram / 2) {
    const llama_rope_type rope = llama_model_rope_type(llama_get_model(context));
    planes_                    = rope == LLAMA_ROPE_TYPE_MROPE || rope == LLAMA_ROPE_TYPE_IMROPE;
    for (int32_t i = 0; i < n_sequences; i++) {
        sequences_[i].id = i;
    }
}

// How many tokens of `sequence` are worth reusing for `tokens`.
size_t SequencePool::reusable(const Sequence & sequence, const SequenceKey & key,
                              const std::vector<llama_token> & tokens, const Lengths & checkpoints) const {
    if (sequence.key.adapters != key.adapters) {
        return 0;
    }
    const size_t same      = std::min(common_prefix(sequence.tokens, tokens), tokens.size() - 1);
    const size_t common    = whole_chunks(tokens, same);
    const bool   anywhere  = partial_ || common == sequence.tokens.size();
    const size_t length    = anywhere ? common : longest(checkpoints, common);
    const bool   continued = key.owner != 0 && sequence.key.owner == key.owner && 2 * common >= sequence.tokens.size();
    const size_t least     = sequence.active ? worth_sharing_active : worth_sharing_parked;
    return continued || length >= least ? length : 0;
}

// The sequence with the most reusable tokens; nullptr if none has any.
Sequence * SequencePool::best_donor(const SequenceKey & key, const std::vector<llama_token> & tokens,
                                    const Lengths & checkpoints, size_t & length) {
    Sequence * best = nullptr;
    length          = 0;
    for (Sequence & s : sequences_) {
        const size_t n = reusable(s, key, tokens, checkpoints);
        if (n > length) {
            length = n;
            best   = &s;
        }
    }
    return best;
}

size_t SequencePool::cached_tokens(const SequenceKey & key, const std::vector<llama_token> & tokens) const {
    const Lengths checkpoints = checkpoints_of(key, tokens);
    size_t        length      = 0;
    for (const Sequence & s : sequences_) {
        length = std::max(length, reusable(s, key, tokens, checkpoints));
    }
    return attends_ ? length : std::max(length, longest(checkpoints, tokens.size() - 1));
}

SequencePool::Lengths SequencePool::checkpoints_of(const SequenceKey &              key,
                                                   const std::vector<llama_token> & tokens) const {
    return partial_ ? Lengths() : checkpoints_.lengths(key.adapters, tokens);
}

size_t SequencePool::last_checkpoint(const SequenceKey & key, const std::vector<llama_token> & tokens,
                                     size_t limit) const {
    return longest(checkpoints_of(key, tokens), limit);
}

Sequence * SequencePool::acquire(const SequenceKey & key, const std::vector<llama_token> & tokens) {
    const Lengths checkpoints = checkpoints_of(key, tokens);
    size_t        length      = 0;
    Sequence *    donor       = best_donor(key, tokens, checkpoints, length);
    Sequence *    chosen      = nullptr;

    // The owner's own parked sequence is continued in place. So is one without an owner that is reused to its end: the
    // next prompt that shares this prefix can cut it back to that length.
    for (Sequence & s : sequences_) {
        const bool own    = key.owner != 0 && s.key.owner == key.owner,
                   orphan = s.key.owner == 0 && s.tokens.size() == length;
        if (!s.active && !s.tokens.empty() && (own || orphan) && length > 0 &&
            reusable(s, key, tokens, checkpoints) == length) {
            chosen = &s;
            break;
        }
    }
    if (!chosen) {
        // The owner's parked sequences that begin differently are useless now: its history was cleared.
        for (Sequence & s : sequences_) {
            const bool own = key.owner != 0 && s.key.owner == key.owner && s.key.adapters == key.adapters;
            if (!s.active && own && &s != donor && !s.tokens.empty()) {
                truncate(s, 0);
            }
        }
        chosen = empty_sequence(donor);
        if (!chosen && donor && !donor->active) {
            chosen = donor;
        }
    }
    if (!chosen) {
        return nullptr;
    }
    if (chosen == donor || chosen->tokens.size() > 0) {
        if (!partial_ && length == chosen->tokens.size()) {  // others, and its owner, may go on from here otherwise
            checkpoint(*chosen, chosen->key.owner != key.owner);
        }
        truncate(*chosen, length);
    } else if (donor) {
        copy(*donor, *chosen, length);
        donor->used = donor->key.owner == 0 ? ++clock_ : donor->used;
    }
    chosen->key    = key;
    chosen->active = true;
    chosen->used   = ++clock_;
    restore(*chosen, tokens);
    restore_checkpoint(*chosen, checkpoints, tokens);
    move_orphans_to_ram();
    return chosen;
}

void SequencePool::checkpoint(const Sequence & sequence, bool shared) {
    const SequenceKey key    = { shared ? 0 : sequence.key.owner, sequence.key.adapters };
    const size_t      length = sequence.tokens.size();
    if (whole_chunks(sequence.tokens, length) < length) {
        return;  // in the middle of a picture
    }
    if (!shared && length < last_checkpoint(key, sequence.tokens, length) + checkpoint_distance) {
        return;
    }
    if (!checkpoints_.take(sequence.id, key, sequence.tokens) && shared) {
        keep(sequence);
    }
}

// Parks a copy of an active sequence if a sequence is free, for prompts that begin alike.
void SequencePool::keep(const Sequence & sequence) {
    const auto empty = std::find_if(sequences_.begin(), sequences_.end(),
                                    [](const Sequence & s) { return !s.active && s.tokens.empty(); });
    if (empty != sequences_.end()) {
        copy(sequence, *empty, sequence.tokens.size());
        empty->key.owner = 0;
        empty->used      = ++clock_;
    }
}

void SequencePool::append(Sequence & sequence, const llama_token * first, size_t n) {
    went_back_[static_cast<size_t>(sequence.id)] = false;
    for (size_t i = 0; i < n; i++) {
        sequence.cells.push_back(cells_.take());
        sequence.tokens.push_back(first[i]);
    }
}

void SequencePool::rollback(Sequence & sequence, bool failed) {
    const size_t length = whole_chunks(sequence.tokens, sequence.tokens.size());
    drop_cells(sequence, length);
    // llama.cpp takes the states of a decode that failed for computed ones.
    const bool remains = partial_ || states_ == 0 || !failed || length == 0;
    if (remains && llama_memory_seq_rm(memory_, sequence.id, position(sequence.tokens, length), -1)) {
        went_back_[static_cast<size_t>(sequence.id)] = states_ > 0 && length > 0;
    } else if (!cut(sequence, length)) {
        shorten(sequence, std::max<size_t>(length, 1) - 1);
    }
}

// Makes the state that a sequence went back to its only one: llama.cpp copies the last one. False if that failed.
bool SequencePool::settle(const Sequence & sequence) {
    constexpr llama_state_seq_flags partial = LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY;
    if (!went_back_[static_cast<size_t>(sequence.id)]) {
        return true;
    }
    Buffer     state(llama_state_seq_get_size_ext(context_, sequence.id, partial));
    const bool read =
        llama_state_seq_get_data_ext(context_, state.data(), state.size(), sequence.id, partial) == state.size();
    if (!read || llama_state_seq_set_data_ext(context_, state.data(), state.size(), sequence.id, partial) == 0) {
        return false;
    }
    went_back_[static_cast<size_t>(sequence.id)] = false;
    return true;
}

void SequencePool::shorten(Sequence & sequence, size_t length) {
    if (length < sequence.tokens.size()) {
        truncate(sequence, partial_ ? length : last_checkpoint(sequence.key, sequence.tokens, length));
    }
}

// Cuts the sequence to at most `length` tokens, or empties it where the model can't cut there. Returns whether it has
// `length` tokens now.
bool SequencePool::truncate(Sequence & sequence, size_t length) {
    if (length < sequence.tokens.size()) {
        length = whole_chunks(sequence.tokens, length);
        if (length == 0 || !cut(sequence, length)) {
            llama_memory_seq_rm(memory_, sequence.id, -1, -1);
            length = 0;
        }
        drop_cells(sequence, length);
    }
    return sequence.tokens.size() == length;
}

// Removes the tokens behind the first `length` ones from the context. The rest is undefined if that fails.
bool SequencePool::cut(Sequence & sequence, size_t length) {
    return (partial_ || checkpoints_.restore(sequence.id, sequence.key.adapters, sequence.tokens, length)) &&
           llama_memory_seq_rm(memory_, sequence.id, position(sequence.tokens, length), -1);
}

void SequencePool::copy(const Sequence & from, Sequence & to, size_t length) {
    if (!settle(from)) {
        throw std::bad_alloc();
    }
    llama_memory_seq_cp(memory_, from.id, to.id, partial_ ? 0 : -1, partial_ ? position(from.tokens, length) : -1);
    const size_t copied = partial_ ? length : from.tokens.size();
    to.key.adapters     = from.key.adapters;
    to.tokens.assign(from.tokens.begin(), from.tokens.begin() + static_cast<std::ptrdiff_t>(copied));
    to.cells.assign(from.cells.begin(), from.cells.begin() + static_cast<std::ptrdiff_t>(copied));
    for (uint32_t cell : to.cells) {
        cells_.share(cell);
    }
    truncate(to, length);
}

void SequencePool::drop_cells(Sequence & sequence, size_t length) {
    for (size_t i = length; i < sequence.cells.size(); i++) {
        cells_.drop(sequence.cells[i]);
    }
    sequence.cells.resize(length);
    sequence.tokens.resize(length);
}

void SequencePool::park(Sequence & sequence) {
    truncate(sequence, whole_chunks(sequence.tokens, sequence.tokens.size()));
    sequence.active = false;
    sequence.used   = ++clock_;
}

void SequencePool::release(Sequence & sequence) {
    truncate(sequence, 0);
    sequence.active = false;
    sequence.key    = {};
}

void SequencePool::disown(uint64_t owner) {
    store_.disown(owner);
    checkpoints_.disown(owner);
    std::vector<Sequence *> orphans;
    for (Sequence & s : sequences_) {
        if (s.key.owner == owner && !s.active) {
            s.key.owner = 0;
            if (!partial_ && last_checkpoint(s.key, s.tokens, s.tokens.size()) == 0) {
                release(s);  // useless to others, since it can't be cut
            }
        }
        if (s.key.owner == 0 && !s.active && !s.tokens.empty()) {
            orphans.push_back(&s);
        }
    }
    std::sort(orphans.begin(), orphans.end(), [](const Sequence * a, const Sequence * b) { return a->used > b->used; });
    for (size_t i = max_orphans; i < orphans.size(); i++) {
        release(*orphans[i]);
    }
}

size_t SequencePool::cells_active() const {
    std::vector<bool> seen(cells_.size());
    size_t            n = 0;
    for (const Sequence & s : sequences_) {
        if (!s.active) {
            continue;
        }
        for (uint32_t cell : s.cells) {
            n += !seen[cell];
            seen[cell] = true;
        }
    }
    return n;
}

int SequencePool::count(bool active) const {
    return static_cast<int>(std::count_if(sequences_.begin(), sequences_.end(), [&](const Sequence & s) {
        return active ? s.active : !s.active && !s.tokens.empty();
    }));
}

}  // namespace luup
