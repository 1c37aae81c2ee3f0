// Reading the keys and the values of a cell, in each format that attend() supports.
#pragma once

#include "simd.h"

#include "ggml.h"

#include <cstdint>

namespace luup::kernels {

struct HalfCells {
    static constexpr ggml_type type = GGML_TYPE_F16;

    // Returns vector number `vector` of a head's numbers in a cell.
    static Floats load(const char * numbers, int64_t vector) { return load_halves(numbers + vector * lanes * 2); }

    // Returns the bytes of that many vectors.
    static int64_t bytes(int64_t vectors) { return vectors * lanes * 2; }
};

// Blocks of a half float and 32 signed bytes.
struct ByteCells {
    static constexpr ggml_type type = GGML_TYPE_Q8_0;

    static Floats load(const char * numbers, int64_t vector) {
        constexpr int64_t vectors_of_block = block / lanes;
        const char *      at               = numbers + vector / vectors_of_block * block_bytes;
        return multiply(load_signed_bytes(at + 2 + vector % vectors_of_block * lanes), repeat_half(at));
    }

    static int64_t bytes(int64_t vectors) { return vectors * lanes / block * block_bytes; }

  private:
    static constexpr int64_t block_bytes = 2 + block;
};

// Blocks of a half float and 16 bytes: their low halves are the first 16 numbers plus 8, their high halves the others.
struct NibbleCells {
    static constexpr ggml_type type = GGML_TYPE_Q4_0;

    static Floats load(const char * numbers, int64_t vector) {
        constexpr int64_t vectors_of_half = block / 2 / lanes;
        const char *      at              = numbers + vector / (2 * vectors_of_half) * block_bytes;
        const bool        high            = vector / vectors_of_half % 2 == 1;
        return multiply(load_nibbles_minus_8(at + 2 + vector % vectors_of_half * lanes, high), repeat_half(at));
    }

    static int64_t bytes(int64_t vectors) { return vectors * lanes / block * block_bytes; }

  private:
    static constexpr int64_t block_bytes = 2 + block / 2;
};

}  // namespace luup::kernels
