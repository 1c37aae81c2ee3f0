#include "kv.h"

#include <algorithm>

namespace luup {

namespace {

// A shorter prefix is computed again rather than taken from a parked sequence that goes on otherwise: it costs next to nothing, and
// an agent's first answer then does not depend, to the last bit, on what ran before it. In company it does anyway.
constexpr size_t worth_sharing_parked = 64;
constexpr size_t worth_sharing_active = 16;

// What is shorter is prefilled again rather than brought to RAM and back.
constexpr size_t worth_storing = 64;

// Sequences without an agent that are kept for their prefixes.
constexpr size_t max_orphans = 2;

}  // namespace

size_t common_prefix(const std::vector<llama_token> & a, const std::vector<llama_token> & b) {
    const size_t n = std::min(a.size(), b.size());
    return std::mismatch(a.begin(), a.begin() + n, b.begin()).first - a.begin();
}

SequencePool::SequencePool(llama_context * context, int32_t n_sequences, uint64_t ram)
    : context_(context),
      memory_(llama_get_memory(context)),
      whole_states_(llama_model_n_swa(llama_get_model(context)) <= 0),
      n_cells_(llama_n_ctx(context)),
      sequences_(n_sequences),
      store_(whole_states_ ? ram : 0) {
    const llama_model * model = llama_get_model(context);
    partial_                  = !llama_model_is_recurrent(model) && !llama_model_is_hybrid(model);
    for (int32_t i = 0; i < n_sequences; i++) {
        sequences_[i].id = i;
    }
}

size_t SequencePool::reusable(const Sequence & sequence, uint64_t owner, const std::vector<llama_token> & tokens) const {
    const size_t length    = std::min(common_prefix(sequence.tokens, tokens), tokens.size() - 1);
    const bool   continued = owner != 0 && sequence.owner == owner && 2 * length >= sequence.tokens.size();
    const bool   possible  = partial_ || length == sequence.tokens.size();
    const size_t least     = sequence.active ? worth_sharing_active : worth_sharing_parked;
    return possible && (continued || length >= least) ? length : 0;
}

Sequence * SequencePool::best_donor(uint64_t owner, const std::vector<llama_token> & tokens, size_t & length) {
    Sequence * best = nullptr;
    length          = 0;
    for (Sequence & s : sequences_) {
        const size_t n = reusable(s, owner, tokens);
        if (n > length) {
            length = n;
            best   = &s;
        }
    }
    return best;
}

size_t SequencePool::warm_tokens(uint64_t owner, const std::vector<llama_token> & tokens) const {
    size_t length = 0;
    for (const Sequence & s : sequences_) {
        length = std::max(length, reusable(s, owner, tokens));
    }
    return length;
}

Sequence * SequencePool::acquire(uint64_t owner, const std::vector<llama_token> & tokens) {
    size_t     length = 0;
    Sequence * donor  = best_donor(owner, tokens, length);
    Sequence * chosen = nullptr;

    // The owner's own parked sequence is continued in place, and so is one without an owner that is used to its end, where the next one could cut it to
    // that again.
    for (Sequence & s : sequences_) {
        const bool own = owner != 0 && s.owner == owner, orphan = partial_ && s.owner == 0 && s.tokens.size() == length;
        if (!s.active && !s.tokens.empty() && (own || orphan) && length > 0 && reusable(s, owner, tokens) == length) {
            chosen = &s;
            break;
        }
    }
    if (!chosen) {
        // Its own that begins otherwise (the history was cleared) is of no use to it any more.
        for (Sequence & s : sequences_) {
            if (!s.active && owner != 0 && s.owner == owner && &s != donor && !s.tokens.empty()) {
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
        truncate(*chosen, length);
    } else if (donor) {
        copy(*donor, *chosen, length);
        donor->used = donor->owner == 0 ? ++clock_ : donor->used;
    }
    chosen->owner  = owner;
    chosen->active = true;
    chosen->used   = ++clock_;
    restore(*chosen, tokens);
    set_orphans_aside();
    return chosen;
}

void SequencePool::keep(const Sequence & sequence) {
    const auto empty = std::find_if(sequences_.begin(), sequences_.end(), [](const Sequence & s) { return !s.active && s.tokens.empty(); });
    if (empty != sequences_.end()) {
        copy(sequence, *empty, sequence.tokens.size());
        empty->owner = 0;
        empty->used  = ++clock_;
    }
}

// Gets what RAM holds of `tokens` into an active sequence that holds less of them.
void SequencePool::restore(Sequence & sequence, const std::vector<llama_token> & tokens) {
    const auto stored = store_.take(sequence.owner, tokens, sequence.tokens.size() + worth_storing);
    if (!stored) {
        return;
    }
    const size_t     length = std::min(common_prefix(stored->tokens, tokens), tokens.size() - 1);
    const Sequence * sharer = nullptr;  // of what was not stored
    for (const Sequence & s : sequences_) {
        if (stored->from > 0 && &s != &sequence && common_prefix(s.tokens, stored->tokens) >= stored->from) {
            sharer = &s;
        }
    }
    if ((!partial_ && length < stored->tokens.size()) || (stored->from > 0 && !sharer)) {
        return;  // of no use any more
    }
    if (fill(sequence, *stored, sharer)) {
        truncate(sequence, length);
        restored_++;
    }
}

// Puts a stored sequence into an active one, what was not stored from `sharer`.
bool SequencePool::fill(Sequence & sequence, const StoredSequence & stored, const Sequence * sharer) {
    const size_t own = stored.tokens.size() - stored.from;
    while (n_used_ + own > n_cells_) {
        Sequence * oldest = oldest_parked(sharer);
        if (!oldest) {
            return false;
        }
        give_up(*oldest);
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

// Every cell in use costs each decode: attention steps over it. What no agent has any more, and none that is here shares, waits in RAM.
void SequencePool::set_orphans_aside() {
    if (!partial_ || !whole_states_) {
        return;
    }
    const auto has_agent = [&](const Sequence & orphan) {
        return std::any_of(sequences_.begin(), sequences_.end(), [&](const Sequence & s) {
            return (s.active || s.owner != 0) && !s.cells.empty() && s.cells.front() == orphan.cells.front();
        });
    };
    for (Sequence & s : sequences_) {
        const bool orphan = !s.active && s.owner == 0 && !s.tokens.empty() && !has_agent(s);
        if (orphan && (s.tokens.size() < worth_storing || keep_in_ram(s))) {
            release(s);
        }
    }
}

// Takes a parked sequence out of the context for room.
void SequencePool::give_up(Sequence & sequence) {
    evictions_++;
    keep_in_ram(sequence);
    release(sequence);
}

// Copies a parked sequence to RAM, without what it shares: that leaves it. False if it is not kept there.
bool SequencePool::keep_in_ram(Sequence & sequence) {
    const size_t from = partial_ && sequence.owner != 0 ? shared(sequence) : 0;
    if (sequence.tokens.size() < from + worth_storing) {
        return false;
    }
    StoredSequence stored = { sequence.owner, sequence.tokens, from, {} };
    if (from > 0) {
        llama_memory_seq_rm(memory_, sequence.id, 0, static_cast<llama_pos>(from));
    }
    const size_t size = llama_state_seq_get_size(context_, sequence.id);
    if (!store_.takes(size)) {
        return false;
    }
    stored.state = Bytes(size);
    if (llama_state_seq_get_data(context_, stored.state.data(), size, sequence.id) != size) {
        return false;
    }
    store_.put(std::move(stored));
    return true;
}

std::optional<StoredSequence> SequencePool::snapshot(uint64_t owner, const std::vector<llama_token> & tokens) {
    Sequence * sequence = tokens.empty() ? nullptr : acquire(owner, tokens);
    if (!sequence) {
        return std::nullopt;
    }
    auto copy = copy_of(*sequence);
    park(*sequence);
    return copy;
}

std::optional<StoredSequence> SequencePool::copy_of(const Sequence & sequence) const {
    StoredSequence copy = { sequence.owner, sequence.tokens, 0, {} };
    copy.state          = Bytes(llama_state_seq_get_size(context_, sequence.id));
    const bool whole    = llama_state_seq_get_data(context_, copy.state.data(), copy.state.size(), sequence.id) == copy.state.size();
    return whole && !copy.tokens.empty() ? std::optional<StoredSequence>(std::move(copy)) : std::nullopt;
}

bool SequencePool::adopt(StoredSequence sequence) {
    const bool fits = store_.takes(sequence.bytes()) && sequence.tokens.size() <= n_cells_;
    if (fits) {
        store_.put(std::move(sequence));
    }
    return fits;
}

// How many of its first tokens are shared by all that share any: what agents have in common, and not what two of them happen to.
size_t SequencePool::shared(const Sequence & sequence) const {
    const uint32_t holders = sequence.cells.empty() ? 1 : references_[sequence.cells.front()];
    const auto     fewer   = [&](uint32_t cell) { return references_[cell] < holders; };
    return holders < 2 ? 0 : static_cast<size_t>(std::find_if(sequence.cells.begin(), sequence.cells.end(), fewer) - sequence.cells.begin());
}

Sequence * SequencePool::empty_sequence(const Sequence * keep) {
    for (Sequence & s : sequences_) {
        if (!s.active && s.tokens.empty()) {
            return &s;
        }
    }
    Sequence * oldest = oldest_parked(keep);
    if (oldest) {
        give_up(*oldest);
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
        give_up(*oldest);
    }
    return oldest != nullptr;
}

void SequencePool::append(Sequence & sequence, const llama_token * first, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t cell = 0;
        if (free_cells_.empty()) {
            cell = static_cast<uint32_t>(references_.size());
            references_.push_back(0);
        } else {
            cell = free_cells_.back();
            free_cells_.pop_back();
        }
        references_[cell] = 1;
        sequence.cells.push_back(cell);
        sequence.tokens.push_back(first[i]);
    }
    n_used_ += n;
}

void SequencePool::rollback(Sequence & sequence) {
    if (!llama_memory_seq_rm(memory_, sequence.id, static_cast<llama_pos>(sequence.tokens.size()), -1)) {
        truncate(sequence, 0);
    }
}

// Cuts the sequence; to nothing where the model can't cut in the middle. True if it now has `length` tokens.
bool SequencePool::truncate(Sequence & sequence, size_t length) {
    if (length < sequence.tokens.size()) {
        if (length == 0 || !llama_memory_seq_rm(memory_, sequence.id, static_cast<llama_pos>(length), -1)) {
            llama_memory_seq_rm(memory_, sequence.id, -1, -1);
            length = 0;
        }
        drop_cells(sequence, length);
    }
    return sequence.tokens.size() == length;
}

void SequencePool::copy(const Sequence & from, Sequence & to, size_t length) {
    llama_memory_seq_cp(memory_, from.id, to.id, partial_ ? 0 : -1, partial_ ? static_cast<llama_pos>(length) : -1);
    to.tokens.assign(from.tokens.begin(), from.tokens.begin() + length);
    to.cells.assign(from.cells.begin(), from.cells.begin() + length);
    for (uint32_t cell : to.cells) {
        references_[cell]++;
    }
}

void SequencePool::drop_cells(Sequence & sequence, size_t length) {
    for (size_t i = length; i < sequence.cells.size(); i++) {
        const uint32_t cell = sequence.cells[i];
        if (--references_[cell] == 0) {
            free_cells_.push_back(cell);
            n_used_--;
        }
    }
    sequence.cells.resize(length);
    sequence.tokens.resize(length);
}

void SequencePool::park(Sequence & sequence) {
    sequence.active = false;
    sequence.used   = ++clock_;
}

void SequencePool::release(Sequence & sequence) {
    truncate(sequence, 0);
    sequence.active = false;
    sequence.owner  = 0;
}

void SequencePool::disown(uint64_t owner) {
    store_.disown(owner);
    std::vector<Sequence *> orphans;
    for (Sequence & s : sequences_) {
        if (s.owner == owner && !s.active) {
            s.owner = 0;
            if (!partial_) {
                release(s);  // what it said goes on as nobody else's does; what it began with was kept
            }
        }
        if (partial_ && s.owner == 0 && !s.active && !s.tokens.empty()) {
            orphans.push_back(&s);
        }
    }
    std::sort(orphans.begin(), orphans.end(), [](const Sequence * a, const Sequence * b) { return a->used > b->used; });
    for (size_t i = max_orphans; i < orphans.size(); i++) {
        release(*orphans[i]);
    }
}

size_t SequencePool::cells_active() const {
    std::vector<bool> seen(references_.size());
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

int SequencePool::owned(uint64_t owner) const {
    return static_cast<int>(std::count_if(sequences_.begin(), sequences_.end(), [&](const Sequence & s) { return s.owner == owner && !s.tokens.empty(); }));
}

int SequencePool::count(bool active) const {
    return static_cast<int>(
        std::count_if(sequences_.begin(), sequences_.end(), [&](const Sequence & s) { return active ? s.active : !s.active && !s.tokens.empty(); }));
}

}  // namespace luup
