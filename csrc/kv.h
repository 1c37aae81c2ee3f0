// The sequences of the context: which tokens each holds, what they share, and which to give up for room.
#pragma once

#include "llama.h"
#include "warm_store.h"

#include <cstdint>
#include <vector>

namespace luup {

// A sequence of the KV cache. `tokens` is exactly what the cache holds for it, by position.
struct Sequence {
    llama_seq_id             id = 0;
    std::vector<llama_token> tokens;
    uint64_t                 owner  = 0;  // the agent; 0 = none any more
    bool                     active = false;
    uint64_t                 used   = 0;  // when it was last active, for the least recently used
    std::vector<uint32_t>    cells;       // which cell holds each token; sequences with a common prefix share cells
};

// Length of the common prefix.
size_t common_prefix(const std::vector<llama_token> & a, const std::vector<llama_token> & b);

// Hands out sequences, warm where an older one begins alike. Belongs to the thread that owns the context.
class SequencePool {
  public:
    // `ram`: bytes for sequences of agents that have to leave the context.
    SequencePool(llama_context * context, int32_t n_sequences, uint64_t ram);

    // A sequence for `owner` that holds the longest possible prefix of `tokens` (always at least one token short of the whole, since
    // the last must be decoded for its logits): its own, a copy of another's, or one that comes back from RAM. nullptr if all are active.
    Sequence * acquire(uint64_t owner, const std::vector<llama_token> & tokens);

    // How many tokens acquire() would find warm.
    size_t warm_tokens(uint64_t owner, const std::vector<llama_token> & tokens) const;

    // Records that `n` tokens from `first` on were decoded into `sequence`.
    void append(Sequence & sequence, const llama_token * first, size_t n);

    // Whether shorten() can cut anywhere: not where a model keeps one state for all that it read.
    bool can_shorten() const { return partial_; }

    // Parks a copy of an active sequence, for others that begin alike. Needed where it can't be cut to that later. Nothing has to leave for it.
    void keep(const Sequence & sequence);

    // Cuts an active sequence to at most `length` tokens.
    void shorten(Sequence & sequence, size_t length) { truncate(sequence, length); }

    // How many sequences the owner has, active or parked.
    int owned(uint64_t owner) const;

    // Takes back what the context holds beyond `sequence.tokens` after a decode that failed half-way.
    void rollback(Sequence & sequence);

    // No longer active: kept warm (park) or emptied (release).
    void park(Sequence & sequence);
    void release(Sequence & sequence);

    // Takes the least recently used parked sequence out of the context, to RAM. False if there is none.
    bool evict();

    // Whether a state taken out of the context is all that is needed of its tokens: a sliding window's lacks what lies before the window, and could not
    // be cut where the next turn's prompt differs.
    bool keeps_states() const { return whole_states_; }

    // Puts what is kept elsewhere in the place of what an active sequence has. False if it has no room, or does not fit.
    bool load(Sequence & sequence, const StoredSequence & stored) { return fill(sequence, stored, nullptr); }

    // An active sequence's tokens, with all of its state.
    std::optional<StoredSequence> copy_of(const Sequence & sequence) const;

    // A copy of what acquire() would find warm, with all of its state. What is in RAM comes back into the context for it.
    std::optional<StoredSequence> snapshot(uint64_t owner, const std::vector<llama_token> & tokens);

    // Keeps a sequence from elsewhere in RAM until its owner's next turn. False if there is no room for it.
    bool adopt(StoredSequence sequence);

    // The owner is gone: its parked sequences serve as a cache for others.
    void disown(uint64_t owner);

    size_t cells_total() const { return n_cells_; }
    size_t cells_used() const { return n_used_; }
    size_t cells_active() const;  // used by active sequences: what can't be evicted
    int    count(bool active) const;

    const WarmStore & store() const { return store_; }
    uint64_t          evictions() const { return evictions_; }
    uint64_t          restored() const { return restored_; }

  private:
    size_t     reusable(const Sequence & sequence, uint64_t owner, const std::vector<llama_token> & tokens) const;
    Sequence * best_donor(uint64_t owner, const std::vector<llama_token> & tokens, size_t & length);
    Sequence * empty_sequence(const Sequence * keep);
    Sequence * oldest_parked(const Sequence * keep);
    void       restore(Sequence & sequence, const std::vector<llama_token> & tokens);
    bool       fill(Sequence & sequence, const StoredSequence & stored, const Sequence * sharer);
    void       give_up(Sequence & sequence);
    bool       keep_in_ram(Sequence & sequence);
    void       set_orphans_aside();
    size_t     shared(const Sequence & sequence) const;
    bool       truncate(Sequence & sequence, size_t length);
    void       copy(const Sequence & from, Sequence & to, size_t length);
    void       drop_cells(Sequence & sequence, size_t length);

    llama_context *       context_;
    llama_memory_t        memory_;
    bool                  partial_;  // false for recurrent models: a state can be extended, not cut
    bool                  whole_states_;
    size_t                n_cells_;
    size_t                n_used_ = 0;
    uint64_t              clock_  = 0;
    std::vector<Sequence> sequences_;
    std::vector<uint32_t> references_;  // of each cell
    std::vector<uint32_t> free_cells_;
    WarmStore             store_;
    uint64_t              evictions_ = 0;
    uint64_t              restored_  = 0;
};

}  // namespace luup
