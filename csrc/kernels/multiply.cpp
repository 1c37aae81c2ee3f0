#include "activations.h"
#include "interleaved.h"
#include "layout.h"
#include "simd.h"

#include "ggml-cpu-impl.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace luup::kernels {

namespace {

// Tokens that are multiplied at once. Each takes two registers, and AVX-512 has twice as many as AVX2.
constexpr int tile = lanes == 16 ? 8 : 4;

// How far ahead weights are prefetched. With few tokens, memory takes most of the time.
constexpr size_t prefetched_bytes = 8192;

// The size of the parts of weights and activations that are multiplied with each other, so that both fit into the
// second-level cache.
constexpr int64_t cached_bytes = 256 * 1024;

// Up to this number of values every thread rounds all activations for itself, since a barrier would take longer.
constexpr int64_t rounded_by_each = 8192;

// Returns columns 4j to 4j+3 of a block, one byte each.
template <int Bits, int j> inline Ints quants_of(const uint8_t * quants) {
    constexpr int vector = lanes * 4;
    if constexpr (Bits == 8) {
        return load(quants + j * vector);
    } else {
        const Ints low = j < 4 ? low_nibbles(load(quants + j * vector)) : high_nibbles(load(quants + (j - 4) * vector));
        if constexpr (Bits == 5) {
            return with_bits<4 - j, 16>(low, load(quants + 4 * vector));
        } else if constexpr (Bits == 6) {
            return with_bits<4 - j % 4 * 2, 48>(low, load(quants + (4 + j / 4) * vector));
        } else {
            return low;
        }
    }
}

// Reads the scales of a chunk of `count` blocks: value = scale * quant + offset.
template <class Scales> struct Reader;

template <int Zero> struct Reader<Scale<Zero>> {
    const uint8_t * scales;
    Reader(const uint8_t * at, int64_t) : scales(at) {}
    Floats scale(int64_t i) const { return load_halves(scales + i * lanes * 2); }
    Floats offset(int64_t, Floats scale) const { return multiply(scale, repeat(-static_cast<float>(Zero))); }
};

template <> struct Reader<ScaleAndOffset> {
    const uint8_t *scales, *offsets;
    Reader(const uint8_t * at, int64_t count) : scales(at), offsets(at + count * lanes * 2) {}
    Floats scale(int64_t i) const { return load_halves(scales + i * lanes * 2); }
    Floats offset(int64_t i, Floats) const { return load_halves(offsets + i * lanes * 2); }
};

template <> struct Reader<SuperScaleAndOffset> {
    Floats          factor, offset_factor;
    const uint8_t * scales;
    Reader(const uint8_t * at, int64_t)
        : factor(load_halves(at)),
          offset_factor(multiply(load_halves(at + lanes * 2), repeat(-1.0f))),
          scales(at + lanes * 4) {}
    Floats scale(int64_t i) const { return multiply(factor, load_unsigned_bytes(scales + i * lanes)); }
    Floats offset(int64_t i, Floats) const {
        return multiply(offset_factor, load_unsigned_bytes(scales + (chunk + i) * lanes));
    }
};

template <> struct Reader<SuperScaleOfHalves> {
    Floats          factor;
    const uint8_t * scales;
    Reader(const uint8_t * at, int64_t) : factor(load_halves(at)), scales(at + lanes * 2) {}
    Floats scale(int64_t i, int half) const {
        return multiply(factor, load_signed_bytes(scales + (2 * i + half) * lanes));
    }
};

// Adds columns 4j to 4j+3 of a block to the sums of N tokens, for each j from the given one to before `end`.
template <int Bits, int N, int j, int end>
LUUP_INLINED void add_columns(const uint8_t * quants, const int16_t * activations, size_t stride, Ints (&sums)[N]) {
    const Ints weights = quants_of<Bits, j>(quants), even = even_bytes(weights), odd = odd_bytes(weights);
    LUUP_UNROLLED
    for (int n = 0; n < N; n++) {
        const int16_t * of_token = activations + n * stride + 4 * j;
        sums[n]                  = add_products(sums[n], even, of_token);
        sums[n]                  = add_products(sums[n], odd, of_token + 2);
    }
    if constexpr (j + 1 < end) {
        add_columns<Bits, N, j + 1, end>(quants, activations, stride, sums);
    }
}

// Adds the products of one block of a group of rows with N tokens to `products`.
template <class Layout, int N>
LUUP_INLINED void multiply_block(const Reader<typename Layout::Scales> & scales, int64_t i, const uint8_t * quants,
                                 const int16_t * activations, const int16_t * of_block, size_t stride,
                                 Floats (&products)[N]) {
    const auto others = [&](int n) -> const OfBlock & {
        return *reinterpret_cast<const OfBlock *>(of_block + n * stride);
    };
    Ints       sums[N];
    const auto add_scaled = [&](Floats scale) {
        LUUP_UNROLLED
        for (int n = 0; n < N; n++) {
            products[n] = multiply_add(multiply(scale, repeat(others(n).scale)), to_floats(sums[n]), products[n]);
        }
    };
    if constexpr (std::is_same_v<typename Layout::Scales, SuperScaleOfHalves>) {
        const auto add_half = [&](auto half) {
            constexpr int h = decltype(half)::value;
            LUUP_UNROLLED
            for (int n = 0; n < N; n++) {
                sums[n] = repeat(others(n).minus_zero[h]);
            }
            add_columns<Layout::bits, N, 4 * h, 4 * h + 4>(quants, activations, stride, sums);
            add_scaled(scales.scale(i, h));
        };
        add_half(std::integral_constant<int, 0>());
        add_half(std::integral_constant<int, 1>());
    } else {
        std::fill(sums, sums + N, zero_ints());
        add_columns<Layout::bits, N, 0, 8>(quants, activations, stride, sums);
        const Floats scale = scales.scale(i), offset = scales.offset(i, scale);
        add_scaled(scale);
        LUUP_UNROLLED
        for (int n = 0; n < N; n++) {
            products[n] = multiply_add(offset, repeat(others(n).scaled_sum), products[n]);
        }
    }
}

// Multiplies a group of rows with N tokens; the products of the next token are `out_stride` floats further in `out`.
template <class Layout, int N>
void multiply_tile(const uint8_t * weights, int64_t columns, const uint8_t * activations, float * out,
                   int64_t out_stride) {
    const int64_t blocks   = columns / block;
    const size_t  stride   = activation_bytes(columns) / sizeof(int16_t);
    const auto *  words    = reinterpret_cast<const int16_t *>(activations);
    const auto *  of_block = words + columns;
    Floats        products[N];
    std::fill(products, products + N, zero_floats());
    for (int64_t begin = 0; begin < blocks; begin += chunk) {
        const int64_t                         count = std::min<int64_t>(chunk, blocks - begin);
        const Reader<typename Layout::Scales> scales(weights, count);
        const uint8_t *                       quants = weights + Layout::Scales::bytes(count);
        for (int64_t i = 0; i < count; i++) {
            for (size_t line = 0; line < Layout::bytes(chunk) / chunk; line += 64) {
                prefetch(quants + prefetched_bytes + line);
            }
            multiply_block<Layout, N>(scales, i, quants, words, of_block, stride, products);
            quants += Layout::quants;
            words += block;
            of_block += sizeof(OfBlock) / sizeof(int16_t);
        }
        weights = quants;
    }
    for (int n = 0; n < N; n++) {
        store(out + n * out_stride, products[n]);
    }
}

template <class Layout>
void multiply_tokens(const uint8_t * group, int64_t columns, const uint8_t * activations, int64_t tokens, float * out,
                     int64_t out_stride) {
    const size_t stride = activation_bytes(columns);
    for (; tokens >= tile; tokens -= tile, activations += tile * stride, out += tile * out_stride) {
        multiply_tile<Layout, tile>(group, columns, activations, out, out_stride);
    }
    switch (tokens) {
        case 1: return multiply_tile<Layout, 1>(group, columns, activations, out, out_stride);
        case 2: return multiply_tile<Layout, 2>(group, columns, activations, out, out_stride);
        case 3: return multiply_tile<Layout, 3>(group, columns, activations, out, out_stride);
        default: break;
    }
    if constexpr (tile == 8) {
        switch (tokens) {
            case 4: return multiply_tile<Layout, 4>(group, columns, activations, out, out_stride);
            case 5: return multiply_tile<Layout, 5>(group, columns, activations, out, out_stride);
            case 6: return multiply_tile<Layout, 6>(group, columns, activations, out, out_stride);
            case 7: return multiply_tile<Layout, 7>(group, columns, activations, out, out_stride);
            default: break;
        }
    }
}

// Multiplies the groups of rows `first` to `last` with all tokens.
template <class Layout>
void multiply_groups(ggml_tensor * product, const uint8_t * activations, int64_t first, int64_t last) {
    const ggml_tensor *   weights = product->src[0];
    const int64_t         columns = weights->ne[0], tokens = ggml_nrows(product);
    const size_t          stride      = activation_bytes(columns);
    const size_t          group_bytes = Layout::bytes(columns / block);
    const int64_t         out_stride  = product->nb[1] / sizeof(float);
    const int64_t         at_once     = std::max<int64_t>(tile, cached_bytes / int64_t(stride) / tile * tile);
    auto * const          out         = static_cast<float *>(product->data);
    const uint8_t * const quants      = static_cast<const uint8_t *>(weights->data);
    for (int64_t token = 0; token < tokens; token += at_once) {
        for (int64_t group = first; group < last; group++) {
            multiply_tokens<Layout>(quants + group * group_bytes, columns, activations + token * stride,
                                    std::min(at_once, tokens - token), out + token * out_stride + group * lanes,
                                    out_stride);
        }
    }
}

void multiply_groups(ggml_tensor * product, const uint8_t * activations, int64_t first, int64_t last) {
#define MULTIPLY(format, ggml_block) \
    case GGML_TYPE_##format: return multiply_groups<format>(product, activations, first, last);
    switch (product->src[0]->type) {
        LUUP_KERNEL_FORMATS(MULTIPLY)
        default: GGML_ABORT("no kernel for %s", ggml_type_name(product->src[0]->type));
    }
#undef MULTIPLY
}

bool is_small(const ggml_tensor * product) {
    return ggml_nelements(product->src[1]) <= rounded_by_each;
}

}  // namespace

size_t scratch_size(int threads, const ggml_tensor * product) {
    const size_t rounded = ggml_nrows(product->src[1]) * activation_bytes(product->src[1]->ne[0]);
    return is_small(product) ? rounded * static_cast<size_t>(threads) : rounded;
}

void multiply(const ggml_compute_params * params, ggml_tensor * product) {
    const ggml_tensor * weights = product->src[0];
    const ggml_tensor * input   = product->src[1];
    auto * const        scratch = static_cast<uint8_t *>(params->wdata);
    const int64_t       groups  = weights->ne[1] / lanes;
    GGML_ASSERT(params->wsize >= scratch_size(params->nth, product));

    if (is_small(product)) {
        uint8_t * const own = scratch + params->ith * (ggml_nrows(input) * activation_bytes(input->ne[0]));
        round_activations(input, 0, 1, own);
        multiply_groups(product, own, groups * params->ith / params->nth, groups * (params->ith + 1) / params->nth);
        return;
    }

    if (params->ith == 0) {
        ggml_threadpool_chunk_set(params->threadpool, params->nth);
    }
    round_activations(input, params->ith, params->nth, scratch);
    ggml_barrier(params->threadpool);

    // Threads take few groups at a time, so that their weights stay in the cache for all tokens, and no thread ends
    // much later than the others.
    const int64_t group_bytes = static_cast<int64_t>(ggml_row_size(weights->type, weights->ne[0])) * lanes;
    const int64_t at_once =
        std::max<int64_t>(1, std::min(cached_bytes / group_bytes, groups / (int64_t(params->nth) * 4)));
    const int64_t parts = (groups + at_once - 1) / at_once;
    for (int64_t part = params->ith; part < parts; part = ggml_threadpool_chunk_add(params->threadpool, 1)) {
        multiply_groups(product, scratch, part * at_once, std::min(groups, (part + 1) * at_once));
    }
}

}  // namespace luup::kernels
