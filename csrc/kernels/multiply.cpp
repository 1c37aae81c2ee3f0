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

// Tokens that are multiplied at once: each has a register of sums.
constexpr int tile = lanes == 16 ? 8 : 4;

// How far ahead weights are asked for: while few tokens are multiplied it is memory that takes the time.
constexpr size_t prefetched_bytes = 8192;

// How much of the weights and of the activations is worked on before the other changes: both fit the second-level cache together.
constexpr int64_t cached_bytes = 256 * 1024;

// Up to so many values every thread rounds all activations for itself: waiting for each other would take longer.
constexpr int64_t rounded_by_each = 8192;

inline Ints four_columns(const uint8_t * bytes) {
    int32_t value;
    std::memcpy(&value, bytes, sizeof(value));
    return repeat(value);
}

// Columns 4j to 4j+3 of a block, one byte each.
template <int Bits, int j>
inline Ints quants_of(const uint8_t * quants) {
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

// The scales of a chunk of `count` blocks: value = scale * quant + offset.
template <class Scales>
struct Reader;

template <int Zero>
struct Reader<Scale<Zero>> {
    const uint8_t * scales;
    Reader(const uint8_t * at, int64_t) : scales(at) {}
    Floats scale(int64_t i) const { return load_halves(scales + i * lanes * 2); }
    Floats offset(int64_t, Floats scale) const { return multiply(scale, repeat(-static_cast<float>(Zero))); }
};

template <>
struct Reader<ScaleAndOffset> {
    const uint8_t *scales, *offsets;
    Reader(const uint8_t * at, int64_t count) : scales(at), offsets(at + count * lanes * 2) {}
    Floats scale(int64_t i) const { return load_halves(scales + i * lanes * 2); }
    Floats offset(int64_t i, Floats) const { return load_halves(offsets + i * lanes * 2); }
};

template <>
struct Reader<SuperScaleAndOffset> {
    Floats          factor, offset_factor;
    const uint8_t * scales;
    Reader(const uint8_t * at, int64_t) : factor(load_halves(at)), offset_factor(multiply(load_halves(at + lanes * 2), repeat(-1.0f))), scales(at + lanes * 4) {}
    Floats scale(int64_t i) const { return multiply(factor, load_unsigned_bytes(scales + i * lanes)); }
    Floats offset(int64_t i, Floats) const { return multiply(offset_factor, load_unsigned_bytes(scales + (chunk + i) * lanes)); }
};

template <>
struct Reader<SuperScaleOfHalves> {
    Floats          factor;
    const uint8_t * scales;
    Reader(const uint8_t * at, int64_t) : factor(load_halves(at)), scales(at + lanes * 2) {}
    Floats scale(int64_t i, int half) const { return multiply(factor, load_signed_bytes(scales + (2 * i + half) * lanes)); }
};

// Integer sums of quants times activations, a register for each of N tokens.
template <int Bits, int N>
class Sums {
  public:
    explicit Sums(const uint8_t * quants, const uint8_t * bytes, size_t stride) : quants_(quants), bytes_(bytes), stride_(stride) {}

    // Begins at what is given for each token.
    template <class Value>
    void begin(Value value) {
        for (int n = 0; n < N; n++) {
            whole[n] = value(n);
            part_[n] = zero_ints();
        }
    }

    // Adds columns 4j to 4j+3 for the given j, which must be in order, and for all that follow up to `end`.
    template <int j, int end>
    void add_columns() {
        const Ints weights = quants_of<Bits, j>(quants_);
        for (int n = 0; n < N; n++) {
            const Ints columns = four_columns(bytes_ + n * stride_ + 4 * j);
            if constexpr (has_vnni) {
                whole[n] = add_products(whole[n], weights, columns);
            } else if constexpr (Bits == 8) {
                whole[n] = add_signed_products(whole[n], weights, columns);
            } else {
                part_[n] = add_products(part_[n], weights, columns);
            }
        }
        if constexpr (!has_vnni && Bits != 8 && ((j + 1) % room == 0 || j + 1 == end)) {
            for (int n = 0; n < N; n++) {
                whole[n] = add(whole[n], widen(part_[n]));
                part_[n] = zero_ints();
            }
        }
        if constexpr (j + 1 < end) {
            add_columns<j + 1, end>();
        }
    }

    Ints whole[N];

  private:
    // How many products of two columns 16 bits hold: 2 x 15 x 127 eight times, 2 x 31 x 127 four times, 2 x 63 x 127 twice.
    static constexpr int room = Bits == 4 ? 8 : Bits == 5 ? 4
                                                          : 2;

    const uint8_t * quants_;
    const uint8_t * bytes_;
    size_t          stride_;
    Ints            part_[N];
};

// Adds to `products` those of one block of a group of rows with N tokens.
template <class Layout, int N>
inline void multiply_block(const Reader<typename Layout::Scales> & scales, int64_t i, const uint8_t * quants, const uint8_t * bytes,
                           const OfBlock * of_block, size_t stride, Floats * products) {
    const auto            of_token   = [&](int n) -> const OfBlock & { return *reinterpret_cast<const OfBlock *>(reinterpret_cast<const uint8_t *>(of_block) + n * stride); };
    constexpr bool        own_scales = std::is_same_v<typename Layout::Scales, SuperScaleOfHalves>;
    Sums<Layout::bits, N> sums(quants, bytes, stride);
    Floats                scaled[N];
    const auto            add_half = [&](auto half) {
        constexpr int h = decltype(half)::value;
        sums.begin([&](int n) { return own_scales ? repeat(of_token(n).minus_zero[h]) : zero_ints(); });
        sums.template add_columns<4 * h, 4 * h + 4>();
        for (int n = 0; n < N; n++) {
            const Floats sum = to_floats(sums.whole[n]), scale = repeat(of_token(n).scale[h]);
            if constexpr (own_scales) {
                products[n] = multiply_add(multiply(scales.scale(i, h), scale), sum, products[n]);
            } else {
                scaled[n] = h == 0 ? multiply(scale, sum) : multiply_add(scale, sum, scaled[n]);
            }
        }
    };
    add_half(std::integral_constant<int, 0>());
    add_half(std::integral_constant<int, 1>());
    if constexpr (!own_scales) {
        const Floats scale = scales.scale(i), offset = scales.offset(i, scale);
        for (int n = 0; n < N; n++) {
            products[n] = multiply_add(scale, scaled[n], products[n]);
            products[n] = multiply_add(offset, repeat(of_token(n).scaled_sum), products[n]);
        }
    }
}

// The products of a group of rows with N tokens; `out` has a token's products every `out_stride` floats.
template <class Layout, int N>
void multiply_tile(const uint8_t * weights, int64_t columns, const uint8_t * activations, float * out, int64_t out_stride) {
    const int64_t blocks   = columns / block;
    const size_t  stride   = activation_bytes(columns);
    const auto *  of_block = reinterpret_cast<const OfBlock *>(activations + columns);
    Floats        products[N];
    for (int n = 0; n < N; n++) {
        products[n] = zero_floats();
    }
    for (int64_t begin = 0; begin < blocks; begin += chunk) {
        const int64_t                         count = std::min<int64_t>(chunk, blocks - begin);
        const Reader<typename Layout::Scales> scales(weights, count);
        const uint8_t *                       quants = weights + Layout::Scales::bytes(count);
        for (int64_t i = 0; i < count; i++, quants += Layout::quants) {
            for (size_t line = 0; line < Layout::bytes(chunk) / chunk; line += 64) {
                prefetch(quants + prefetched_bytes + line);
            }
            multiply_block<Layout, N>(scales, i, quants, activations + (begin + i) * block, of_block + begin + i, stride, products);
        }
        weights = quants;
    }
    for (int n = 0; n < N; n++) {
        store(out + n * out_stride, products[n]);
    }
}

template <class Layout>
void multiply_tokens(const uint8_t * group, int64_t columns, const uint8_t * activations, int64_t tokens, float * out, int64_t out_stride) {
    const size_t stride = activation_bytes(columns);
    while (tokens >= tile) {
        multiply_tile<Layout, tile>(group, columns, activations, out, out_stride);
        activations += tile * stride;
        out += tile * out_stride;
        tokens -= tile;
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

// Groups of rows `first` to `last`, with all tokens.
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
            multiply_tokens<Layout>(quants + group * group_bytes, columns, activations + token * stride, std::min(at_once, tokens - token),
                                    out + token * out_stride + group * lanes, out_stride);
        }
    }
}

void multiply_groups(ggml_tensor * product, const uint8_t * activations, int64_t first, int64_t last) {
    switch (product->src[0]->type) {
        case GGML_TYPE_Q4_0: return multiply_groups<Q4_0>(product, activations, first, last);
        case GGML_TYPE_Q4_1: return multiply_groups<Q4_1>(product, activations, first, last);
        case GGML_TYPE_Q5_0: return multiply_groups<Q5_0>(product, activations, first, last);
        case GGML_TYPE_Q5_1: return multiply_groups<Q5_1>(product, activations, first, last);
        case GGML_TYPE_Q8_0: return multiply_groups<Q8_0>(product, activations, first, last);
        case GGML_TYPE_Q4_K: return multiply_groups<Q4_K>(product, activations, first, last);
        case GGML_TYPE_Q5_K: return multiply_groups<Q5_K>(product, activations, first, last);
        case GGML_TYPE_Q6_K: return multiply_groups<Q6_K>(product, activations, first, last);
        default: GGML_ABORT("no kernel for %s", ggml_type_name(product->src[0]->type));
    }
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

    // So few groups at a time that their weights stay in the cache while all tokens pass, and that no thread ends much later than the others.
    const int64_t group_bytes = static_cast<int64_t>(ggml_row_size(weights->type, weights->ne[0])) * lanes;
    const int64_t at_once     = std::max<int64_t>(1, std::min(cached_bytes / group_bytes, groups / (int64_t(params->nth) * 4)));
    const int64_t parts       = (groups + at_once - 1) / at_once;
    for (int64_t part = params->ith; part < parts; part = ggml_threadpool_chunk_add(params->threadpool, 1)) {
        multiply_groups(product, scratch, part * at_once, std::min(groups, (part + 1) * at_once));
    }
}

}  // namespace luup::kernels
