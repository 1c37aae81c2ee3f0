// States of recurrent and hybrid models behind certain beginnings of texts, kept in RAM: such a state can be extended,
// but not cut back.
#pragma once

#include "base/buffer.h"
#include "engine/stored_sequence.h"

#include "llama.h"

#include <cstddef>
#include <cstdint>
#include <list>
#include <vector>

namespace luup {

// Returns the largest of these lengths, which are in ascending order, that is at most `limit`; 0 if none is.
size_t longest(const std::vector<size_t> & lengths, size_t limit);

// A checkpoint has the part of a sequence's state that can't be cut back: all of a recurrent model's, and of a hybrid
// model's what its recurrent layers have. The KV cache has the rest. Belongs to the thread that owns the context.
class Checkpoints {
  public:
    // `capacity` is in bytes; with 0 none are kept.
    Checkpoints(llama_context * context, uint64_t capacity) : context_(context), capacity_(capacity) {}

    // Keeps the state of `sequence`, which has read exactly `tokens`, as the newest, and drops the least recently used
    // ones for room. `key.owner` is 0 if it serves others, too. False if there is no room for it.
    bool take(llama_seq_id sequence, const SequenceKey & key, const std::vector<llama_token> & tokens);

    // Returns the lengths of those that `tokens` begins with, in ascending order.
    std::vector<size_t> lengths(AdapterSet adapters, const std::vector<llama_token> & tokens) const;

    // Sets the state of `sequence` to that behind the first `length` of `tokens`. False if there is no such checkpoint,
    // or llama.cpp refuses it; what the sequence holds is undefined then.
    bool restore(llama_seq_id sequence, AdapterSet adapters, const std::vector<llama_token> & tokens, size_t length);

    // Drops those of an owner that was closed.
    void disown(uint64_t owner);

    size_t   count() const { return kept_.size(); }
    uint64_t bytes() const { return bytes_; }
    uint64_t restored() const { return restored_; }

  private:
    using Kept = std::list<StoredSequence>;

    Kept::iterator find(AdapterSet adapters, const std::vector<llama_token> & tokens, size_t length);
    Kept::iterator drop(Kept::iterator it);

    llama_context * context_;
    const uint64_t  capacity_;
    uint64_t        bytes_    = 0;
    uint64_t        restored_ = 0;
    Kept            kept_;  // the newest first
};

}  // namespace luup
