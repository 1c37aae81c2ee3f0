// Reading interleaved weights: the quants of some columns and the scales of a block, for all rows of a group.
#pragma once

#include "layout.h"
#include "simd.h"

#include <cstdint>
#include <type_traits>

namespace luup::kernels {

// How far ahead weights are prefetched. With few tokens, memory takes most of the time.
constexpr size_t prefetched_bytes = 8192;

// Returns columns 4j to 4j+3 of a block, one byte each.
template <class Layout, int j> inline Ints quants_of(const uint8_t * quants) {
    constexpr int Bits   = Layout::bits;
    constexpr int vector = lanes * 4;
    if constexpr (Bits == 8) {
        return load(quants + j * vector);
    } else {
        const Ints low = j < 4 ? low_nibbles(load(quants + j * vector)) : high_nibbles(load(quants + (j - 4) * vector));
        if constexpr (Bits == 5) {
            return with_bits<4 - j, 16>(low, load(quants + 4 * vector));
        } else if constexpr (Bits == 6) {
            return with_bits<4 - j % 4 * 2, 48>(low, load(quants + (4 + j / 4) * vector));
        } else if constexpr (std::is_same_v<typename Layout::Values, Linear>) {
            return low;
        } else {
            return look_up(Layout::Values::values, low);
        }
    }
}

// Reads the scales of a chunk of `count` blocks: value = scale * (quant - Zero) + offset. `halves` says that each half
// of a block has a scale of its own.
template <class Scales> struct Reader;

template <int Zero> struct Reader<Scale<Zero>> {
    static constexpr bool halves = false, has_offset = false;
    const uint8_t *       scales;
    Reader(const uint8_t * at, int64_t) : scales(at) {}
    Floats scale(int64_t i, int) const { return load_halves(scales + i * lanes * 2); }
};

template <> struct Reader<ScaleAndOffset> {
    static constexpr bool halves = false, has_offset = true;
    const uint8_t *       scales, *offsets;
    Reader(const uint8_t * at, int64_t count) : scales(at), offsets(at + count * lanes * 2) {}
    Floats scale(int64_t i, int) const { return load_halves(scales + i * lanes * 2); }
    Floats offset(int64_t i) const { return load_halves(offsets + i * lanes * 2); }
};

template <> struct Reader<SuperScaleAndOffset> {
    static constexpr bool halves = false, has_offset = true;
    Floats                factor, offset_factor;
    const uint8_t *       scales;
    Reader(const uint8_t * at, int64_t)
        : factor(load_halves(at)),
          offset_factor(multiply(load_halves(at + lanes * 2), repeat(-1.0f))),
          scales(at + lanes * 4) {}
    Floats scale(int64_t i, int) const { return multiply(factor, load_unsigned_bytes(scales + i * lanes)); }
    Floats offset(int64_t i) const {
        return multiply(offset_factor, load_unsigned_bytes(scales + (chunk + i) * lanes));
    }
};

template <> struct Reader<SuperScaleOfHalves> {
    static constexpr bool halves = true, has_offset = false;
    Floats                factor;
    const uint8_t *       scales;
    Reader(const uint8_t * at, int64_t) : factor(load_halves(at)), scales(at + lanes * 2) {}
    Floats scale(int64_t i, int half) const {
        return multiply(factor, load_signed_bytes(scales + (2 * i + half) * lanes));
    }
};

template <int Zero> struct Reader<SuperScale<Zero>> {
    static constexpr bool halves = false, has_offset = false;
    Floats                factor;
    const uint8_t *       scales;
    Reader(const uint8_t * at, int64_t) : factor(load_halves(at)), scales(at + lanes * 2) {}
    Floats scale(int64_t i, int) const { return multiply(factor, load_signed_bytes(scales + i * lanes)); }
};

template <int Zero> struct Reader<PowerOfTwo<Zero>> {
    static constexpr bool halves = false, has_offset = false;
    const uint8_t *       exponents;
    Reader(const uint8_t * at, int64_t) : exponents(at) {}
    Floats scale(int64_t i, int) const { return load_powers_of_two(exponents + i * lanes); }
};

}  // namespace luup::kernels
