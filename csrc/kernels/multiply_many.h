// Products with many tokens, such as those of a prompt: a chunk of two groups' weights is unpacked to 16 bits once,
// into memory that fits the first-level cache, and multiplied with all tokens. A register that has activations is then
// used twice, and one that has weights for each token of a tile.
#pragma once

#include "activations.h"
#include "read_weights.h"
#include "simd.h"

#include <algorithm>
#include <type_traits>

namespace luup::kernels {

// A block of G groups, unpacked.
template <int G> struct UnpackedBlock {
    // Four columns of a group take two vectors, as even_bytes() and odd_bytes() return them. The groups alternate.
    alignas(64) int16_t quants[block / 2][G][lanes * 2];
    alignas(64) float scales[2][G][lanes];  // of each half, or the first for all
    alignas(64) float offsets[G][lanes];
};

template <class Layout, int G, int j>
LUUP_INLINED void unpack_columns(const uint8_t * from, int g, UnpackedBlock<G> & to) {
    const Ints zero    = repeat(Layout::zero * 0x10001);
    const Ints weights = quants_of<Layout, j>(from);
    store(to.quants[2 * j][g], subtract_words(even_bytes(weights), zero));
    store(to.quants[2 * j + 1][g], subtract_words(odd_bytes(weights), zero));
    if constexpr (j + 1 < 8) {
        unpack_columns<Layout, G, j + 1>(from, g, to);
    }
}

// Unpacks `count` blocks of a group.
template <class Layout, int G>
LUUP_NOT_INLINED void unpack_chunk(const uint8_t * from, int64_t count, int g, UnpackedBlock<G> * to) {
    using Scales = Reader<typename Layout::Scales>;
    const Scales    scales(from, count);
    const uint8_t * quants = from + Layout::Scales::bytes(count);
    for (int64_t i = 0; i < count; i++, quants += Layout::quants) {
        for (size_t line = 0; line < Layout::bytes(chunk) / chunk; line += 64) {
            prefetch(quants + prefetched_bytes + line);
        }
        store(to[i].scales[0][g], scales.scale(i, 0));
        if constexpr (Scales::halves) {
            store(to[i].scales[1][g], scales.scale(i, 1));
        }
        if constexpr (Scales::has_offset) {
            store(to[i].offsets[g], scales.offset(i));
        }
        unpack_columns<Layout, G, 0>(quants, g, to[i]);
    }
}

template <int N, int G> struct Products {
    alignas(64) float of[N][G][lanes];
};

// Adds half a block's products, or all of a block whose halves have the same scale.
template <int First, int Pairs, bool AddOffset, int N, int G>
LUUP_INLINED void add_unpacked(const UnpackedBlock<G> & weights, const OfBlock<N> & activations,
                               Products<N, G> & products) {
    Ints sums[N][G];
    LUUP_UNROLLED
    for (int n = 0; n < N; n++) {
        LUUP_UNROLLED
        for (int g = 0; g < G; g++) {
            sums[n][g] = zero_ints();
        }
    }
    LUUP_UNROLLED
    for (int p = First; p < First + Pairs; p++) {
        Ints quants[G];
        LUUP_UNROLLED
        for (int g = 0; g < G; g++) {
            quants[g] = load(weights.quants[p][g]);
        }
        LUUP_UNROLLED
        for (int n = 0; n < N; n++) {
            const Ints both = repeat(activations.pairs[p][n]);
            LUUP_UNROLLED
            for (int g = 0; g < G; g++) {
                sums[n][g] = add_products(sums[n][g], quants[g], both);
            }
        }
    }
    LUUP_UNROLLED
    for (int n = 0; n < N; n++) {
        const Floats scale = repeat(activations.scales[n]);
        LUUP_UNROLLED
        for (int g = 0; g < G; g++) {
            Floats sum = multiply_add(multiply(load_floats(weights.scales[First > 0][g]), scale), to_floats(sums[n][g]),
                                      load_floats(products.of[n][g]));
            if constexpr (AddOffset) {
                sum = multiply_add(load_floats(weights.offsets[g]), repeat(activations.scaled_sums[n]), sum);
            }
            store(products.of[n][g], sum);
        }
    }
}

// Adds the products of an unpacked chunk with a tile of N tokens to those at row `row` of `outs`, or starts them if the
// chunk is the first.
template <bool Halves, bool HasOffset, int N, int G>
LUUP_NOT_INLINED void multiply_unpacked(const UnpackedBlock<G> * weights, int64_t count, bool first,
                                        const OfBlock<N> * activations, float * const * outs, int64_t row) {
    Products<N, G> products;
    for (int n = 0; n < N; n++) {
        for (int g = 0; g < G; g++) {
            store(products.of[n][g], first ? zero_floats() : load_floats(outs[n] + row + g * lanes));
        }
    }
    for (int64_t i = 0; i < count; i++) {
        if constexpr (Halves) {
            add_unpacked<0, block / 4, false>(weights[i], activations[i], products);
            add_unpacked<block / 4, block / 4, HasOffset>(weights[i], activations[i], products);
        } else {
            add_unpacked<0, block / 2, HasOffset>(weights[i], activations[i], products);
        }
    }
    for (int n = 0; n < N; n++) {
        for (int g = 0; g < G; g++) {
            store(outs[n] + row + g * lanes, load_floats(products.of[n][g]));
        }
    }
}

// Multiplies an unpacked chunk with `tokens` tokens.
template <bool Halves, bool HasOffset, int G, int N = tile>
void multiply_unpacked_tokens(const UnpackedBlock<G> * weights, int64_t count, bool first, const uint8_t * activations,
                              int64_t tokens, float * const * outs, int64_t row) {
    for (; tokens >= N; tokens -= N, activations += N * activation_bytes(count), outs += N) {
        multiply_unpacked<Halves, HasOffset, N, G>(weights, count, first,
                                                   reinterpret_cast<const OfBlock<N> *>(activations), outs, row);
    }
    if constexpr (N > 1) {
        if (tokens > 0) {
            multiply_unpacked_tokens<Halves, HasOffset, G, N - 1>(weights, count, first, activations, tokens, outs,
                                                                  row);
        }
    }
}

// Multiplies the groups `first` to `last` of rows with `tokens` tokens from `token` on, which begins a tile. It has the
// first place in `outs`.
template <class Layout>
void multiply_many(const uint8_t * weights, int64_t first, int64_t last, int64_t blocks, const Rounded & activations,
                   int64_t token, int64_t tokens, float * const * outs) {
    using Scales                 = Reader<typename Layout::Scales>;
    const size_t group_bytes     = Layout::bytes(blocks);
    const auto   multiply_groups = [&](auto together, int64_t group, int64_t begin) {
        constexpr int    G     = decltype(together)::value;
        const int64_t    count = std::min<int64_t>(chunk, blocks - begin);
        UnpackedBlock<G> unpacked[chunk];
        for (int g = 0; g < G; g++) {
            unpack_chunk<Layout, G>(weights + (group + g) * group_bytes + Layout::bytes(begin), count, g, unpacked);
        }
        multiply_unpacked_tokens<Scales::halves, Scales::has_offset, G>(
            unpacked, count, begin == 0, activations.at(token, begin, count), tokens, outs, group * lanes);
    };
    const auto multiply_chunk = [&](int64_t group, int64_t begin) {
        if (group + 1 < last) {
            multiply_groups(std::integral_constant<int, 2>(), group, begin);
        } else {
            multiply_groups(std::integral_constant<int, 1>(), group, begin);
        }
    };
    if (static_cast<size_t>(tokens) * activation_bytes(blocks) <= static_cast<size_t>(cached_bytes)) {
        // All activations stay in the cache: the weights are read in the order in which they are in memory.
        for (int64_t group = first; group < last; group += 2) {
            for (int64_t begin = 0; begin < blocks; begin += chunk) {
                multiply_chunk(group, begin);
            }
        }
        return;
    }
    for (int64_t begin = 0; begin < blocks; begin += chunk) {
        for (int64_t group = first; group < last; group += 2) {
            multiply_chunk(group, begin);
        }
    }
}

}  // namespace luup::kernels
