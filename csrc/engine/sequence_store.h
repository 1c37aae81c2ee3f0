// Parked sequences that had to leave the context, kept in RAM until their agents come back.
#pragma once

#include "engine/stored_sequence.h"

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <vector>

namespace luup {

// Belongs to the thread that owns the context.
class SequenceStore {
  public:
    // `capacity` is in bytes.
    explicit SequenceStore(uint64_t capacity) : capacity_(capacity) {}

    // Returns whether `bytes` fit at all, if others are dropped for them.
    bool takes(uint64_t bytes) const { return bytes <= capacity_; }

    // Keeps a sequence as the newest. Drops the oldest ones for room, those without an owner first; of these only a few
    // are kept at all.
    void put(StoredSequence sequence);

    // Removes and returns the sequence that shares the longest prefix with `tokens`, of the owner's and of those
    // without an owner, if it has the key's adapters and that prefix has more than `least` tokens.
    std::optional<StoredSequence> take(const SequenceKey & key, const std::vector<llama_token> & tokens, size_t least);

    // Drops the sequences of an owner that was closed.
    void disown(uint64_t owner);

    uint64_t bytes() const { return bytes_; }
    size_t   count() const { return kept_.size(); }

  private:
    using Kept = std::list<StoredSequence>;

    Kept::iterator oldest_ownerless();
    StoredSequence take_out(Kept::iterator it);

    const uint64_t capacity_;
    uint64_t       bytes_ = 0;
    Kept           kept_;  // the newest first
};

}  // namespace luup
