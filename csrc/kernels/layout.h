// The layout of interleaved weights in memory, which is the order in which they are read. `lanes` rows form a group. A
// group has a chunk for each 256 columns (fewer at the end of a row). A chunk has first the scales, in arrays of one
// element per row for each 32 columns (or 16, or all), then the quants of the first 32 columns, of the next 32, and so
// on.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__AVX512BW__)
#    define LUUP_KERNEL_LANES 16
#else
#    define LUUP_KERNEL_LANES 8
#endif

namespace luup::kernels {

constexpr int lanes = LUUP_KERNEL_LANES;  // of 32 bits, in the registers that the kernels use
constexpr int block = 32;  // columns that are multiplied before their sum is scaled
constexpr int chunk = 8;   // blocks whose scales are adjacent; in the K formats they share a second scale

// The size of the weights or the activations that are used several times and so should stay in the second-level cache.
constexpr int64_t cached_bytes = 256 * 1024;

// value = scale * (quant - Zero): a half float per row and block.
template <int Zero> struct Scale {
    static constexpr int    parts = 1;  // blocks of 32 in ggml's block
    static constexpr int    zero  = Zero;
    static constexpr size_t bytes(int64_t blocks) { return static_cast<size_t>(blocks) * lanes * 2; }
};

// value = scale * quant + offset: two arrays of half floats.
struct ScaleAndOffset {
    static constexpr int    parts = 1;
    static constexpr int    zero  = 0;
    static constexpr size_t bytes(int64_t blocks) { return static_cast<size_t>(blocks) * lanes * 4; }
};

// value = factor * scale * quant - factor of the offset * offset: two half floats per row, then two arrays of bytes.
struct SuperScaleAndOffset {
    static constexpr int    parts = chunk;
    static constexpr int    zero  = 0;
    static constexpr size_t bytes(int64_t blocks) {
        return static_cast<size_t>(blocks) * lanes * 2 + static_cast<size_t>(blocks / chunk) * lanes * 4;
    }
};

// value = factor * scale * (quant - 32): a half float per row, then an array of signed bytes for each 16 columns.
struct SuperScaleOfHalves {
    static constexpr int    parts = chunk;
    static constexpr int    zero  = 32;
    static constexpr size_t bytes(int64_t blocks) {
        return static_cast<size_t>(blocks) * lanes * 2 + static_cast<size_t>(blocks / chunk) * lanes * 2;
    }
};

// value = factor * scale * (quant - Zero): a half float per row, then an array of signed bytes.
template <int Zero> struct SuperScale {
    static constexpr int    parts = chunk;
    static constexpr int    zero  = Zero;
    static constexpr size_t bytes(int64_t blocks) {
        return static_cast<size_t>(blocks) * lanes + static_cast<size_t>(blocks / chunk) * lanes * 2;
    }
};

// value = 2^(exponent - 128) * (quant - Zero): a byte per row and block.
template <int Zero> struct PowerOfTwo {
    static constexpr int    parts = 1;
    static constexpr int    zero  = Zero;
    static constexpr size_t bytes(int64_t blocks) { return static_cast<size_t>(blocks) * lanes; }
};

// The quants are the values that a format has for 16 numbers of four bits, with its zero added.
struct NonLinear {  // zero: 128
    static constexpr uint8_t values[16] = { 1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241 };
};
struct FourBitFloat {  // zero: 16
    static constexpr uint8_t values[16] = { 16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4 };
};
struct Linear {};  // the numbers are the quants

// The quants of a group's block, in vectors of `lanes` x 4 bytes: four columns of each row. With 4 bits, the low halves
// of the bytes of vector j are columns 4j to 4j+3, and the high halves the columns 16 further. The fifth and sixth bits
// are in further vectors; see quants_of() in read_weights.h.
template <int Bits, class ItsScales, class ItsValues = Linear> struct Layout {
    using Scales                   = ItsScales;
    using Values                   = ItsValues;
    static constexpr int    bits   = Bits;
    static constexpr int    zero   = Scales::zero;
    static constexpr size_t quants = static_cast<size_t>(lanes) * block * Bits / 8;
    static constexpr size_t bytes(int64_t blocks) {
        return static_cast<size_t>(blocks) * quants + Scales::bytes(blocks);
    }
};

using Q4_0   = Layout<4, Scale<8>>;
using Q4_1   = Layout<4, ScaleAndOffset>;
using Q5_0   = Layout<5, Scale<16>>;
using Q5_1   = Layout<5, ScaleAndOffset>;
using Q8_0   = Layout<8, Scale<128>>;  // unsigned, like all others
using Q4_K   = Layout<4, SuperScaleAndOffset>;
using Q5_K   = Layout<5, SuperScaleAndOffset>;
using Q6_K   = Layout<6, SuperScaleOfHalves>;
using IQ4_NL = Layout<4, Scale<128>, NonLinear>;
using IQ4_XS = Layout<4, SuperScale<128>, NonLinear>;
using MXFP4  = Layout<4, PowerOfTwo<16>, FourBitFloat>;

// All formats, each with ggml's block.
#define LUUP_KERNEL_FORMATS(EACH) \
    EACH(Q4_0, block_q4_0)        \
    EACH(Q4_1, block_q4_1)        \
    EACH(Q5_0, block_q5_0)        \
    EACH(Q5_1, block_q5_1)        \
    EACH(Q8_0, block_q8_0)        \
    EACH(Q4_K, block_q4_K)        \
    EACH(Q5_K, block_q5_K)        \
    EACH(Q6_K, block_q6_K)        \
    EACH(IQ4_NL, block_iq4_nl)    \
    EACH(IQ4_XS, block_iq4_xs)    \
    EACH(MXFP4, block_mxfp4)

}  // namespace luup::kernels
