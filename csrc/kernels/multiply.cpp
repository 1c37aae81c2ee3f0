#include "activations.h"
#include "interleaved.h"
#include "layout.h"
#include "multiply_rows.h"

#include "ggml-cpu-impl.h"

#include <algorithm>
#include <array>

namespace luup::kernels {

namespace {

// Multiplies the groups of rows `first` to `last` with all tokens.
template <class Layout>
void multiply_groups(ggml_tensor * product, const Rounded & activations, int64_t first, int64_t last) {
    const auto *  weights    = static_cast<const uint8_t *>(product->src[0]->data);
    const int64_t blocks     = product->src[0]->ne[0] / block;
    const int64_t out_stride = product->nb[1] / sizeof(float);
    auto * const  out        = static_cast<float *>(product->data);

    std::array<float *, tokens_at_once> outs;
    for (int64_t token = 0; token < activations.tokens; token += tokens_at_once) {
        const int64_t tokens = std::min(tokens_at_once, activations.tokens - token);
        for (int64_t n = 0; n < tokens; n++) {
            outs[static_cast<size_t>(n)] = out + (token + n) * out_stride;
        }
        multiply_rows<Layout>(weights, blocks, activations, outs.data(), first, last, token, tokens);
    }
}

void multiply_groups(ggml_tensor * product, const Rounded & activations, int64_t first, int64_t last) {
#define MULTIPLY(format, ggml_block) \
    case GGML_TYPE_##format: return multiply_groups<format>(product, activations, first, last);
    switch (product->src[0]->type) {
        LUUP_KERNEL_FORMATS(MULTIPLY)
        default: GGML_ABORT("no kernel for %s", ggml_type_name(product->src[0]->type));
    }
#undef MULTIPLY
}

// Returns whether each thread rounds the activations for itself and takes the same share of the rows, since waiting
// would take longer. With more weights, threads that get different shares of a core would end at different times.
bool is_small(const ggml_tensor * product) {
    constexpr size_t shared_evenly = 4 << 20;
    return ggml_nelements(product->src[1]) <= rounded_by_each && ggml_nbytes(product->src[0]) <= shared_evenly;
}

// Products of different weights with the same activations.
struct Products {
    ggml_tensor * const * first;
    size_t                count;

    ggml_tensor * const * begin() const { return first; }
    ggml_tensor * const * end() const { return first + count; }
};

void multiply_small(const ggml_compute_params * params, Products products) {
    const ggml_tensor * input = (*products.first)->src[1];
    const size_t        size  = ggml_nrows(input) * activation_bytes(input->ne[0] / block);
    auto * const        own   = static_cast<uint8_t *>(params->wdata) + params->ith * size;
    round_activations(input, 0, 1, own);
    for (ggml_tensor * product : products) {
        const int64_t groups = product->src[0]->ne[1] / lanes;
        multiply_groups(product, { own, ggml_nrows(input) }, groups * params->ith / params->nth,
                        groups * (params->ith + 1) / params->nth);
    }
}

void multiply(const ggml_compute_params * params, Products products) {
    const ggml_tensor * input   = (*products.first)->src[1];
    auto * const        rounded = static_cast<uint8_t *>(params->wdata);
    if (params->ith == 0) {
        ggml_threadpool_chunk_set(params->threadpool, params->nth);
    }
    round_activations(input, params->ith, params->nth, rounded);
    ggml_barrier(params->threadpool);

    // The parts of all products have consecutive numbers, which the threads take one after the other.
    int64_t part = params->ith, first_part = 0;
    for (ggml_tensor * product : products) {
        const int64_t groups  = product->src[0]->ne[1] / lanes;
        const int64_t at_once = groups_at_once(product->src[0], groups, params->nth);
        const int64_t parts   = (groups + at_once - 1) / at_once;
        for (; part < first_part + parts; part = ggml_threadpool_chunk_add(params->threadpool, 1)) {
            const int64_t first = (part - first_part) * at_once;
            multiply_groups(product, { rounded, ggml_nrows(input) }, first, std::min(groups, first + at_once));
        }
        first_part += parts;
    }
}

}  // namespace

size_t scratch_size(int threads, const ggml_tensor * product) {
    const size_t rounded = ggml_nrows(product->src[1]) * activation_bytes(product->src[1]->ne[0] / block);
    return is_small(product) ? rounded * static_cast<size_t>(threads) : rounded;
}

void multiply(const ggml_compute_params * params, ggml_tensor * const * products, size_t count) {
    GGML_ASSERT(params->wsize >= scratch_size(params->nth, *products));
    if (is_small(*products)) {
        multiply_small(params, { products, count });
    } else {
        multiply(params, { products, count });
    }
}

}  // namespace luup::kernels
