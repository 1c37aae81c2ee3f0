// Products with few tokens, such as those of a decode: the weights are unpacked in registers, for a tile of tokens.
#pragma once

#include "activations.h"
#include "read_weights.h"
#include "simd.h"

#include <algorithm>
#include <type_traits>

namespace luup::kernels {

// Adds columns 4j to 4j+3 of a block to the sums of N tokens, for each j from the given one to before `end`.
template <class Layout, int N, int j, int end>
LUUP_INLINED void add_columns(const uint8_t * quants, const OfBlock<N> & activations, Ints (&sums)[N]) {
    const Ints weights = quants_of<Layout, j>(quants), even = even_bytes(weights), odd = odd_bytes(weights);
    LUUP_UNROLLED
    for (int n = 0; n < N; n++) {
        sums[n] = add_products(sums[n], even, &activations.pairs[2 * j][n]);
        sums[n] = add_products(sums[n], odd, &activations.pairs[2 * j + 1][n]);
    }
    if constexpr (j + 1 < end) {
        add_columns<Layout, N, j + 1, end>(quants, activations, sums);
    }
}

// The power of two that a format's zero is.
constexpr int bits_of_zero(int zero) {
    return zero > 1 ? 1 + bits_of_zero(zero / 2) : 0;
}

// Adds the products of one block of a group of rows with N tokens to `products`. multiply_many.h does it in the same
// order, so that a token's result is the same in any batch.
template <class Layout, int N>
LUUP_INLINED void multiply_block(const Reader<typename Layout::Scales> & scales, int64_t i, const uint8_t * quants,
                                 const OfBlock<N> & activations, Floats (&products)[N]) {
    using Scales           = Reader<typename Layout::Scales>;
    constexpr int zero     = Layout::zero;
    const auto    add_part = [&](auto part) {  // half a block, if each half has a scale
        constexpr int p = decltype(part)::value;
        Ints          sums[N];
        LUUP_UNROLLED
        for (int n = 0; n < N; n++) {
            sums[n] = zero == 0 ? zero_ints()
                                : shift_left<bits_of_zero(zero)>(repeat(Scales::halves ? activations.minus_halves[p][n]
                                                                                       : activations.minus_sums[n]));
        }
        add_columns<Layout, N, 4 * p, Scales::halves ? 4 * p + 4 : 8>(quants, activations, sums);
        const Floats scale = scales.scale(i, p);
        LUUP_UNROLLED
        for (int n = 0; n < N; n++) {
            products[n] = multiply_add(multiply(scale, repeat(activations.scales[n])), to_floats(sums[n]), products[n]);
        }
    };
    add_part(std::integral_constant<int, 0>());
    if constexpr (Scales::halves) {
        add_part(std::integral_constant<int, 1>());
    }
    if constexpr (Scales::has_offset) {
        const Floats offset = scales.offset(i);
        LUUP_UNROLLED
        for (int n = 0; n < N; n++) {
            products[n] = multiply_add(offset, repeat(activations.scaled_sums[n]), products[n]);
        }
    }
}

// Multiplies a group of rows with a tile of N tokens. Each has a place in `outs`; the group's products go to the row
// `row` there.
template <class Layout, int N>
void multiply_tile(const uint8_t * weights, int64_t blocks, const Rounded & activations, int64_t token,
                   float * const * outs, int64_t row) {
    Floats products[N];
    std::fill(products, products + N, zero_floats());
    for (int64_t begin = 0; begin < blocks; begin += chunk) {
        const int64_t                         count = std::min<int64_t>(chunk, blocks - begin);
        const Reader<typename Layout::Scales> scales(weights, count);
        const uint8_t *                       quants = weights + Layout::Scales::bytes(count);
        const auto * of_block = reinterpret_cast<const OfBlock<N> *>(activations.at(token, begin, count));
        for (int64_t i = 0; i < count; i++) {
            for (size_t line = 0; line < Layout::bytes(chunk) / chunk; line += 64) {
                prefetch(quants + prefetched_bytes + line);
            }
            multiply_block<Layout, N>(scales, i, quants, of_block[i], products);
            quants += Layout::quants;
        }
        weights = quants;
    }
    for (int n = 0; n < N; n++) {
        store(outs[token + n] + row, products[n]);
    }
}

// Multiplies a group of rows with the tokens from `token` on, in tiles of N and then a smaller one.
template <class Layout, int N = tile>
void multiply_few(const uint8_t * weights, int64_t blocks, const Rounded & activations, float * const * outs,
                  int64_t row, int64_t token = 0) {
    for (; activations.tokens - token >= N; token += N) {
        multiply_tile<Layout, N>(weights, blocks, activations, token, outs, row);
    }
    if constexpr (N > 1) {
        if (token < activations.tokens) {
            multiply_few<Layout, N - 1>(weights, blocks, activations, outs, row, token);
        }
    }
}

}  // namespace luup::kernels
