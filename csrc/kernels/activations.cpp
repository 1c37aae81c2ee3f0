#include "activations.h"
#include "simd.h"

#include "ggml.h"

namespace luup::kernels {

namespace {

void round_token(const float * x, int64_t columns, uint8_t * to) {
    auto * const bytes    = reinterpret_cast<int8_t *>(to);
    auto * const of_block = reinterpret_cast<OfBlock *>(to + columns);
    for (int64_t b = 0; b < columns / block; b++) {
        OfBlock others = {};
        for (int half = 0; half < 2; half++) {
            const int64_t begin     = b * block + half * 16;
            const float   largest   = largest_magnitude(x + begin);
            const int32_t sum       = round_to_bytes(x + begin, largest > 0 ? 127.0f / largest : 0.0f, bytes + begin);
            others.scale[half]      = largest / 127.0f;
            others.minus_zero[half] = -32 * sum;
            others.scaled_sum += others.scale[half] * static_cast<float>(sum);
        }
        of_block[b] = others;
    }
}

}  // namespace

size_t activation_bytes(int64_t columns) {
    return static_cast<size_t>(columns) + static_cast<size_t>(columns / block) * sizeof(OfBlock);
}

void round_activations(const ggml_tensor * activations, int64_t first, int64_t step, uint8_t * to) {
    const int64_t columns = activations->ne[0], tokens = ggml_nrows(activations);
    const size_t  stride = activation_bytes(columns);
    for (int64_t token = first; token < tokens; token += step) {
        const int64_t i1   = token % activations->ne[1];
        const int64_t i2   = token / activations->ne[1] % activations->ne[2];
        const int64_t i3   = token / activations->ne[1] / activations->ne[2];
        const char *  from = static_cast<const char *>(activations->data) + i1 * activations->nb[1] + i2 * activations->nb[2] + i3 * activations->nb[3];
        round_token(reinterpret_cast<const float *>(from), columns, to + token * stride);
    }
}

}  // namespace luup::kernels
