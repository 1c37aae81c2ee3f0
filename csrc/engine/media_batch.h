// A part of a picture or sound in one decode: vectors in place of tokens.
#pragma once

#include "media/chunk.h"

#include "llama-cpp.h"

#include <cstdint>

namespace luup {

// Belongs to the thread that owns the context.
class MediaBatch {
  public:
    explicit MediaBatch(llama_context * context);

    // Decodes `n` vectors of a chunk, from number `first` on, into a sequence; the chunk begins at `position`. No rows
    // of logits come of it. Returns llama_decode()'s result. Throws std::exception.
    int decode(const MediaSpan & span, int32_t first, int32_t n, llama_pos position, llama_seq_id sequence);

  private:
    llama_context *     context_;
    size_t              vector_size_;
    llama_batch_ext_ptr batch_;  // null until it is needed
};

}  // namespace luup
