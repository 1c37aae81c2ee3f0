// The sequences of the context: which tokens each holds, what they share, and which one leaves for room.
#pragma once

#include "engine/cell_table.h"
#include "engine/checkpoints.h"
#include "engine/sequence_store.h"
#include "engine/stored_sequence.h"
#include "tokens/media_token.h"

#include "llama.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace luup {

// A sequence of the KV cache. `tokens` is exactly what the cache holds for it, by position.
struct Sequence {
    llama_seq_id             id = 0;
    std::vector<llama_token> tokens;
    SequenceKey              key;         // owner 0: none, or one that was closed
    bool                     active = false;
    uint64_t                 used   = 0;  // the pool's clock when it was last active
    std::vector<uint32_t>    cells;       // the cell of each token; sequences with a common prefix share cells
};

// Hands out sequences that already hold as much of a prompt as possible. A sequence is active while a completion uses
// it, and parked afterwards: its KV state stays for the owner's next turn, or for others whose prompts begin alike.
// Belongs to the thread that owns the context.
class SequencePool {
  public:
    // Checkpoints of one text that are closer together are not worth their memory.
    static constexpr size_t checkpoint_distance = 16;

    // `ram`: bytes for parked sequences that have to leave the context. Of a model whose sequences can't be shortened,
    // half of them is for checkpoints.
    SequencePool(llama_context * context, int32_t n_sequences, uint64_t ram);

    // Returns an active sequence for `key` that holds the longest possible prefix of `tokens`, computed with the same
    // adapters: the owner's own, a copy of another one, or one that comes back from RAM. At least the last token is
    // missing, since it has to be decoded for its logits. nullptr if all sequences are active.
    Sequence * acquire(const SequenceKey & key, const std::vector<llama_token> & tokens);

    // Returns how many tokens acquire() would find in the context.
    size_t cached_tokens(const SequenceKey & key, const std::vector<llama_token> & tokens) const;

    // Records that `n` tokens from `first` on were decoded into `sequence`.
    void append(Sequence & sequence, const llama_token * first, size_t n);

    // Returns the position of the token behind the first `length` ones.
    llama_pos position(const std::vector<llama_token> & tokens, size_t length) const {
        return planes_ ? position_behind(tokens, length) : static_cast<llama_pos>(length);
    }

    // Whether shorten() can cut anywhere. Recurrent models keep one state for everything that they read: their
    // sequences are cut at checkpoints only.
    bool can_shorten() const { return partial_; }

    // Cuts an active sequence to `length` tokens, or to fewer where it can't be cut there.
    void shorten(Sequence & sequence, size_t length);

    // Keeps the state of an active sequence, so that it can be cut here later. Only needed where it can't be shortened.
    // `shared`: for prompts of others that begin alike, even when its owner is gone; without, only where the last
    // checkpoint is far enough.
    void checkpoint(const Sequence & sequence, bool shared);

    // Returns the length of the longest checkpoint of at most `limit` tokens that `tokens` begins with; 0 if none.
    size_t last_checkpoint(const SequenceKey & key, const std::vector<llama_token> & tokens, size_t limit) const;

    // How many tokens of the last decode rollback() can remove without computing others again: where a recurrent state
    // goes back, those that the context keeps states for.
    size_t most_refused() const { return partial_ ? SIZE_MAX : states_; }

    // Removes from the context what a decode left behind `sequence.tokens`: at most most_refused() tokens. `failed`: it
    // did not compute them, or not to the end.
    void rollback(Sequence & sequence, bool failed = false);

    // Ends the use of an active sequence: park() keeps its state, release() empties it.
    void park(Sequence & sequence);
    void release(Sequence & sequence);

    // The owner was closed: its parked sequences serve as a cache for others.
    void disown(uint64_t owner);

    // Moves the least recently used parked sequence from the context to RAM. False if none is parked.
    bool evict();

    // Whether a sequence's state can be restored from a copy. With a sliding window the copy lacks the tokens before
    // the window, and could not be cut where the next turn's prompt differs.
    bool keeps_states() const { return whole_states_; }

    // Replaces the content of an active sequence by a stored one. False if there is no room, or llama.cpp refuses it.
    bool load(Sequence & sequence, const StoredSequence & stored) { return fill(sequence, stored, nullptr); }

    // Returns an active sequence's tokens and whole state.
    std::optional<StoredSequence> copy_of(const Sequence & sequence) const;

    // Returns a copy of what acquire() would find, with its whole state. A sequence in RAM moves back into the context.
    std::optional<StoredSequence> snapshot(const SequenceKey & key, const std::vector<llama_token> & tokens);

    // Returns a copy of the owner's parked sequence that was used last, with its whole state, if it has the key's
    // adapters, and at least `least` tokens and at most `most` bytes.
    std::optional<StoredSequence> last(const SequenceKey & key, size_t least, uint64_t most) const;

    // Keeps a sequence from elsewhere in RAM until its owner's next turn. False if there is no room for it.
    bool adopt(StoredSequence sequence);

    // Returns how many sequences are active, or parked.
    int count(bool active) const;

    size_t cells_total() const { return n_cells_; }
    size_t cells_used() const { return cells_.used(); }
    size_t cells_active() const;  // used by active sequences, which can't be evicted

    const SequenceStore & store() const { return store_; }
    const Checkpoints &   checkpoints() const { return checkpoints_; }
    uint64_t              evictions() const { return evictions_; }
    uint64_t              restored() const { return restored_; }

  private:
    using Lengths = std::vector<size_t>;  // of the checkpoints that a prompt begins with

    size_t     reusable(const Sequence & sequence, const SequenceKey & key, const std::vector<llama_token> & tokens,
                        const Lengths & checkpoints) const;
    Sequence * best_donor(const SequenceKey & key, const std::vector<llama_token> & tokens, const Lengths & checkpoints,
                          size_t & length);
    Lengths    checkpoints_of(const SequenceKey & key, const std::vector<llama_token> & tokens) const;
    void       keep(const Sequence & sequence);
    bool       truncate(Sequence & sequence, size_t length);
    bool       cut(Sequence & sequence, size_t length);
    void       copy(const Sequence & from, Sequence & to, size_t length);
    bool       settle(const Sequence & sequence);
    void       drop_cells(Sequence & sequence, size_t length);

    // Between the context and RAM (eviction.cpp).
    Sequence * empty_sequence(const Sequence * keep);
    Sequence * oldest_parked(const Sequence * keep);
    void       move_to_ram(Sequence & sequence);
    bool       copy_to_ram(Sequence & sequence);
    void       restore(Sequence & sequence, const std::vector<llama_token> & tokens);
    void restore_checkpoint(Sequence & sequence, const Lengths & checkpoints, const std::vector<llama_token> & tokens);
    bool free_cells(size_t n, const Sequence * keep);
    bool fill(Sequence & sequence, const StoredSequence & stored, const Sequence * sharer);
    void move_orphans_to_ram();
    size_t shared(const Sequence & sequence) const;

    llama_context *       context_;
    llama_memory_t        memory_;
    bool                  partial_;       // false for recurrent models: a state can be extended, but not cut
    bool                  attends_;       // false for models without attention, whose KV cache is empty
    bool                  whole_states_;  // false with a sliding window
    bool                  planes_;        // M-RoPE: a picture has fewer positions than tokens
    size_t                n_cells_;
    size_t                states_;  // of a recurrent model, before the last one of each sequence
    std::vector<bool>     went_back_;  // by sequence: to one of these, which it has not decoded from yet
    uint64_t              clock_ = 0;
    std::vector<Sequence> sequences_;
    CellTable             cells_;
    SequenceStore         store_;
    Checkpoints           checkpoints_;
    uint64_t              evictions_ = 0;
    uint64_t              restored_  = 0;
};

}  // namespace luup
