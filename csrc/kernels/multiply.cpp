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

bool is_small(const ggml_tensor * product) {
    return ggml_nelements(product->src[1]) <= rounded_by_each;
}

}  // namespace

size_t scratch_size(int threads, const ggml_tensor * product) {
    const size_t rounded = ggml_nrows(product->src[1]) * activation_bytes(product->src[1]->ne[0] / block);
    return is_small(product) ? rounded * static_cast<size_t>(threads) : rounded;
}

void multiply(const ggml_compute_params * params, ggml_tensor * product) {
    const ggml_tensor * weights = product->src[0];
    const ggml_tensor * input   = product->src[1];
    auto * const        scratch = static_cast<uint8_t *>(params->wdata);
    const int64_t       groups  = weights->ne[1] / lanes;
    GGML_ASSERT(params->wsize >= scratch_size(params->nth, product));

    if (is_small(product)) {
        uint8_t * const own = scratch + params->ith * (ggml_nrows(input) * activation_bytes(input->ne[0] / block));
        round_activations(input, 0, 1, own);
        multiply_groups(product, { own, ggml_nrows(input) }, groups * params->ith / params->nth,
                        groups * (params->ith + 1) / params->nth);
        return;
    }

    if (params->ith == 0) {
        ggml_threadpool_chunk_set(params->threadpool, params->nth);
    }
    round_activations(input, params->ith, params->nth, scratch);
    ggml_barrier(params->threadpool);

    const int64_t at_once = groups_at_once(weights, groups, params->nth);
    const int64_t parts   = (groups + at_once - 1) / at_once;
    for (int64_t part = params->ith; part < parts; part = ggml_threadpool_chunk_add(params->threadpool, 1)) {
        multiply_groups(product, { scratch, ggml_nrows(input) }, part * at_once,
                        std::min(groups, (part + 1) * at_once));
    }
}

}  // namespace luup::kernels
