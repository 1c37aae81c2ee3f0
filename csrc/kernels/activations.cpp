#include "activations.h"
#include "simd.h"

#include "ggml.h"

#include <algorithm>

namespace luup::kernels {

namespace {

void round_token(const float * x, int64_t columns, uint8_t * to) {
    constexpr float most     = 32767.0f;
    constexpr float nothing  = 1e-30f;  // counts as zero: the factor of smaller values would overflow
    auto * const    rounded  = reinterpret_cast<int16_t *>(to);
    auto * const    of_block = reinterpret_cast<OfBlock *>(rounded + columns);
    for (int64_t b = 0; b < columns / block; b++) {
        const float * from    = x + b * block;
        const float   largest = std::max(largest_magnitude(from), largest_magnitude(from + 16));
        const float   factor  = largest > nothing ? most / largest : 0.0f;
        const int32_t first   = round_to_words(from, factor, rounded + b * block);
        const int32_t last    = round_to_words(from + 16, factor, rounded + b * block + 16);
        const float   scale   = factor > 0 ? largest / most : 0.0f;
        of_block[b]           = { scale, scale * static_cast<float>(first + last), { -32 * first, -32 * last } };
    }
}

}  // namespace

size_t activation_bytes(int64_t columns) {
    return 2 * static_cast<size_t>(columns) + static_cast<size_t>(columns / block) * sizeof(OfBlock);
}

void round_activations(const ggml_tensor * activations, int64_t first, int64_t step, uint8_t * to) {
    const int64_t columns = activations->ne[0], tokens = ggml_nrows(activations);
    const size_t  stride = activation_bytes(columns);
    for (int64_t token = first; token < tokens; token += step) {
        const int64_t i1   = token % activations->ne[1];
        const int64_t i2   = token / activations->ne[1] % activations->ne[2];
        const int64_t i3   = token / activations->ne[1] / activations->ne[2];
        const char *  from = static_cast<const char *>(activations->data) + i1 * activations->nb[1] +
                             i2 * activations->nb[2] + i3 * activations->nb[3];
        round_token(reinterpret_cast<const float *>(from), columns, to + token * stride);
    }
}

}  // namespace luup::kernels
