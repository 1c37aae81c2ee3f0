// Activations as the kernels multiply them: rounded to 16 bits, with a scale for each block of 32. ggml rounds to 8
// bits. That causes most of the difference between its results and exact ones, and resolves near ties differently on
// each kind of CPU.
//
// Their layout has a part for each chunk of 256 columns (fewer at the end of a row). A part has the tiles of tokens one
// after the other, and a tile has an OfBlock for each block.
#pragma once

#include "layout.h"

#include <cstddef>
#include <cstdint>

struct ggml_tensor;

namespace luup::kernels {

// Tokens that are multiplied at once; the last tile of a batch may have fewer. With few tokens a token takes two
// registers, with many it takes one for each of two groups, and AVX-512 has twice as many as AVX2.
constexpr int tile = lanes == 16 ? 8 : 4;

// A block of the activations of N tokens.
template <int N> struct OfBlock {
    int32_t pairs[block / 2][N];  // of 16-bit numbers: columns 0 and 2, 1 and 3, 4 and 6, 5 and 7, …
    float   scales[N];
    float   scaled_sums[N];  // of the rounded activations
    int32_t minus_sums[N];  // of the rounded activations: the start of a sum with quants whose zero is not 0
    int32_t minus_halves[2][N];  // the same for each half of the block
};

// Returns the bytes of a token with that many blocks.
constexpr size_t activation_bytes(int64_t blocks) {
    return static_cast<size_t>(blocks) * sizeof(OfBlock<1>);
}

// Rounded activations of a number of tokens.
struct Rounded {
    const uint8_t * bytes;
    int64_t         tokens;

    // Returns the chunk of `count` blocks that begins with block `begin`, for the tile whose first token is `token`.
    const uint8_t * at(int64_t token, int64_t begin, int64_t count) const {
        return bytes + static_cast<size_t>(tokens) * activation_bytes(begin) +
               static_cast<size_t>(token) * activation_bytes(count);
    }
};

// Rounds a tensor of floats, of whose tiles' chunks this call does number `first`, `first + step`, …
void round_activations(const ggml_tensor * activations, int64_t first, int64_t step, uint8_t * to);

// Does the same for `tokens` rows of `columns` floats.
void round_rows(const float * const * rows, int64_t tokens, int64_t columns, int64_t first, int64_t step, uint8_t * to);

}  // namespace luup::kernels
