// The output of an encoder for a picture or sound: runs of vectors, each in the place of a token, with text around
// them.
#pragma once

#include "media/file.h"

#include "llama.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace luup {

// One run of vectors. A large picture may be cut into several.
struct MediaChunk {
    size_t  index     = 0;     // among the chunks of its file
    int32_t tokens    = 0;
    int32_t positions = 0;     // fewer than `tokens` with M-RoPE, where a picture is a plane
    int32_t width     = 0;     // tokens in a row of such a plane; 0: one position after the other
    bool    causal    = true;  // false: its tokens see each other, so it is decoded at once

    // Returns the positions of token `i` in the four sections of M-RoPE, of a chunk that begins at `begin`; other
    // models use the first one.
    std::array<llama_pos, 4> position(llama_pos begin, int32_t i) const {
        if (width == 0) {
            return { begin + i, begin + i, begin + i, begin + i };
        }
        return { begin, begin + i / width, begin + i % width, 0 };
    }
};

// A text between chunks, as the model was trained to see it, or a chunk.
struct MediaPiece {
    std::vector<llama_token> tokens;         // of a chunk: the numbers that stand for its vectors
    bool                     is_chunk = false;
    MediaChunk               chunk;
};

using MediaLayout = std::vector<MediaPiece>;

// The vectors of a chunk, one after the other.
using MediaVectors = std::shared_ptr<const std::vector<float>>;

// A chunk in a prompt.
struct MediaSpan {
    size_t       begin = 0;  // the index of its first token
    MediaChunk   chunk;
    Media        file;
    MediaVectors vectors;  // null: not computed yet, since the context is likely to have it

    size_t end() const { return begin + static_cast<size_t>(chunk.tokens); }
};

}  // namespace luup
