// A sequence's tokens and KV state outside of the context.
#pragma once

#include "base/buffer.h"
#include "engine/adapters.h"

#include "llama.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace luup {

// The owner of a sequence, and the adapters that computed it.
struct SequenceKey {
    uint64_t   owner    = 0;  // the agent; 0 = a prefix that an agent left behind when it was closed
    AdapterSet adapters = 0;
};

// `state` is llama.cpp's, of the cells from token `from` on. The cells before it were shared with another sequence,
// which must be in the context when this one comes back.
struct StoredSequence {
    SequenceKey              key;
    std::vector<llama_token> tokens;
    size_t                   from = 0;
    Buffer                   state;

    size_t bytes() const { return state.size() + tokens.size() * sizeof(llama_token); }
};

}  // namespace luup
