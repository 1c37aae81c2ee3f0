// Parked sequences that had to leave the context, kept in RAM until their agents come back.
#pragma once

#include "bytes.h"

#include "llama.h"

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <vector>

namespace luup {

// A sequence outside of the context; `owner` is 0 for what agents that are gone began with. `state` is llama.cpp's, of the cells from token `from`
// on: those before it were shared with another sequence, which has to be there when this one comes back.
struct StoredSequence {
    uint64_t                 owner = 0;
    std::vector<llama_token> tokens;
    size_t                   from = 0;
    Bytes                    state;

    size_t bytes() const { return state.size() + tokens.size() * sizeof(llama_token); }
};

// Belongs to the thread that owns the context.
class WarmStore {
  public:
    explicit WarmStore(uint64_t capacity) : capacity_(capacity) {}

    // Whether `bytes` can be kept at all, with others given up for them.
    bool takes(uint64_t bytes) const { return bytes <= capacity_; }

    // Keeps it as the newest; the oldest are given up for room, those without an owner first. Of these only a few are kept at all.
    void put(StoredSequence sequence);

    // Takes out the owner's sequence, or one without an owner, that begins most like `tokens`, if that is for more than `least` of them.
    std::optional<StoredSequence> take(uint64_t owner, const std::vector<llama_token> & tokens, size_t least);

    // The owner is gone.
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
