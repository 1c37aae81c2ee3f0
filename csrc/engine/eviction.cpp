// Moves parked sequences between the context and RAM.
#include "engine/sequence_pool.h"
#include "engine/token_prefix.h"

#include <algorithm>

namespace luup {

namespace {

// A sequence of fewer tokens is prefilled again rather than copied to RAM and back.
constexpr size_t worth_storing = 64;

}  // namespace

// Returns a sequence without tokens. If there is none, empties the oldest parked one, except `keep`; nullptr if there
// is none of these either.
Sequence * SequencePool::empty_sequence(const Sequence * keep) {
    for (Sequence & s : sequences_) {
        if (!s.active && s.tokens.empty()) {
            return &s;
        }
    }
    Sequence * oldest = oldest_parked(keep);
    if (oldest) {
        move_to_ram(*oldest);
    }
    return oldest;
}

Sequence * SequencePool::oldest_parked(const Sequence * keep) {
    Sequence * oldest = nullptr;
    for (Sequence & s : sequences_) {
        if (!s.active && !s.tokens.empty() && &s != keep && (!oldest || s.used < oldest->used)) {
            oldest = &s;
        }
    }
    return oldest;
}

bool SequencePool::evict() {
    Sequence * oldest = oldest_parked(nullptr);
    if (oldest) {
        move_to_ram(*oldest);
    }
    return oldest != nullptr;
}

// Restores an active sequence from RAM if a longer prefix of `tokens` is there.
void SequencePool::restore(Sequence & sequence, const std::vector<llama_token> & tokens) {
    const auto stored = store_.take(sequence.key, tokens, sequence.tokens.size() + worth_storing);
    if (!stored) {
        return;
    }
    size_t length = whole_chunks(tokens, std::min(common_prefix(stored->tokens, tokens), tokens.size() - 1));
    if (!partial_ && length < stored->tokens.size()) {
        length = last_checkpoint(sequence.key, tokens, length);
    }
    const Sequence * sharer = nullptr;  // holds the tokens that were not stored
    for (const Sequence & s : sequences_) {
        const bool alike = s.key.adapters == sequence.key.adapters;
        if (alike && stored->from > 0 && &s != &sequence && common_prefix(s.tokens, stored->tokens) >= stored->from) {
            sharer = &s;
        }
    }
    if (length <= sequence.tokens.size() || (stored->from > 0 && !sharer)) {
        return;  // useless by now
    }
    if (fill(sequence, *stored, sharer)) {
        truncate(sequence, length);
        restored_++;
    }
}

// Replaces the content of an active sequence by a stored one, and copies the tokens that were not stored from `sharer`.
bool SequencePool::fill(Sequence & sequence, const StoredSequence & stored, const Sequence * sharer) {
    const size_t own = stored.tokens.size() - stored.from;
    if (!free_cells(own, sharer)) {
        return false;
    }
    truncate(sequence, 0);
    if (llama_state_seq_set_data(context_, stored.state.data(), stored.state.size(), sequence.id) == 0) {
        llama_memory_seq_rm(memory_, sequence.id, -1, -1);
        return false;
    }
    if (stored.from > 0) {
        copy(*sharer, sequence, stored.from);
    }
    append(sequence, stored.tokens.data() + stored.from, own);
    return true;
}

// A checkpoint of a model without attention is a whole state: it needs no sequence that begins alike.
void SequencePool::restore_checkpoint(Sequence & sequence, const Lengths & checkpoints,
                                      const std::vector<llama_token> & tokens) {
    const size_t length = longest(checkpoints, tokens.size() - 1);
    if (attends_ || length <= sequence.tokens.size() || !free_cells(length, nullptr)) {
        return;
    }
    truncate(sequence, 0);
    if (checkpoints_.restore(sequence.id, sequence.key.adapters, tokens, length)) {
        append(sequence, tokens.data(), length);
    } else {
        llama_memory_seq_rm(memory_, sequence.id, -1, -1);
    }
}

// Evicts parked sequences, except `keep`, until `n` more cells are free. False if that is not possible.
bool SequencePool::free_cells(size_t n, const Sequence * keep) {
    while (cells_.used() + n > n_cells_) {
        Sequence * oldest = oldest_parked(keep);
        if (!oldest) {
            return false;
        }
        move_to_ram(*oldest);
    }
    return true;
}

// Moves parked sequences without an owner to RAM, unless one with an owner shares their first token. Every cell in use
// costs time in each decode, since attention steps over it.
void SequencePool::move_orphans_to_ram() {
    if (!partial_ || !whole_states_) {
        return;
    }
    const auto has_agent = [&](const Sequence & orphan) {
        return std::any_of(sequences_.begin(), sequences_.end(), [&](const Sequence & s) {
            return (s.active || s.key.owner != 0) && !s.cells.empty() && s.cells.front() == orphan.cells.front();
        });
    };
    for (Sequence & s : sequences_) {
        const bool orphan = !s.active && s.key.owner == 0 && !s.tokens.empty() && !has_agent(s);
        if (orphan && (s.tokens.size() < worth_storing || copy_to_ram(s))) {
            release(s);
        }
    }
}

// Frees the cells of a parked sequence. Its state is kept in RAM if there is room for it.
void SequencePool::move_to_ram(Sequence & sequence) {
    evictions_++;
    copy_to_ram(sequence);
    release(sequence);
}

// Copies a parked sequence to RAM, except for its shared prefix, which it loses. False if it is not kept there.
bool SequencePool::copy_to_ram(Sequence & sequence) {
    const size_t from = partial_ && sequence.key.owner != 0 ? shared(sequence) : 0;
    if (sequence.tokens.size() < from + worth_storing) {
        return false;
    }
    StoredSequence stored = { sequence.key, sequence.tokens, from, {} };
    if (from > 0) {
        llama_memory_seq_rm(memory_, sequence.id, 0, position(sequence.tokens, from));
    }
    const size_t size = llama_state_seq_get_size(context_, sequence.id);
    if (!store_.takes(size)) {
        return false;
    }
    stored.state = Buffer(size);
    if (llama_state_seq_get_data(context_, stored.state.data(), size, sequence.id) != size) {
        return false;
    }
    store_.put(std::move(stored));
    return true;
}

// How many of its first tokens are shared by all sequences that share the first one: the prefix that many agents have
// in common, not a longer one that two of them happen to share.
size_t SequencePool::shared(const Sequence & sequence) const {
    const uint32_t holders = sequence.cells.empty() ? 1 : cells_.holders(sequence.cells.front());
    const auto     fewer   = [&](uint32_t cell) { return cells_.holders(cell) < holders; };
    const auto     end     = std::find_if(sequence.cells.begin(), sequence.cells.end(), fewer);
    return holders < 2 ? 0 : whole_chunks(sequence.tokens, static_cast<size_t>(end - sequence.cells.begin()));
}

std::optional<StoredSequence> SequencePool::snapshot(const SequenceKey & key, const std::vector<llama_token> & tokens) {
    Sequence * sequence = tokens.empty() ? nullptr : acquire(key, tokens);
    if (!sequence) {
        return std::nullopt;
    }
    auto copy = copy_of(*sequence);
    park(*sequence);
    return copy;
}

std::optional<StoredSequence> SequencePool::copy_of(const Sequence & sequence) const {
    StoredSequence copy = { sequence.key, sequence.tokens, 0, {} };
    copy.state          = Buffer(llama_state_seq_get_size(context_, sequence.id));
    const bool whole =
        llama_state_seq_get_data(context_, copy.state.data(), copy.state.size(), sequence.id) == copy.state.size();
    return whole && !copy.tokens.empty() ? std::optional<StoredSequence>(std::move(copy)) : std::nullopt;
}

std::optional<StoredSequence> SequencePool::last(const SequenceKey & key, size_t least, uint64_t most) const {
    const Sequence * found = nullptr;
    for (const Sequence & s : sequences_) {
        const bool own = s.key.owner == key.owner && s.key.adapters == key.adapters;
        if (!s.active && own && !s.tokens.empty() && (!found || s.used > found->used)) {
            found = &s;
        }
    }
    const bool wanted = whole_states_ && found && found->tokens.size() >= least &&
                        llama_state_seq_get_size(context_, found->id) <= most;
    return wanted ? copy_of(*found) : std::nullopt;
}

bool SequencePool::adopt(StoredSequence sequence) {
    const bool fits = store_.takes(sequence.bytes()) && sequence.tokens.size() <= n_cells_;
    if (fits) {
        store_.put(std::move(sequence));
    }
    return fits;
}

}  // namespace luup
