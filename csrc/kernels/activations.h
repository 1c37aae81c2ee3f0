// Activations as the kernels multiply them: rounded to bytes, with a scale for each 16: half as many as ggml has to a scale, which makes the error of
// the rounding smaller.
#pragma once

#include <cstddef>
#include <cstdint>

struct ggml_tensor;

namespace luup::kernels {

// What belongs to a block of 32 bytes. A token's activations are its bytes, then one of these for each block.
struct OfBlock {
    float   scale[2];       // of each half
    float   scaled_sum;     // the sum of the activations, as rounded
    int32_t minus_zero[2];  // of each half: the sum of the bytes times -32, for quants that have 32 for zero
};

// What a token of so many columns takes.
size_t activation_bytes(int64_t columns);

// Rounds the tokens `first`, `first + step`, ... of a tensor of floats, to their places in `to`.
void round_activations(const ggml_tensor * activations, int64_t first, int64_t step, uint8_t * to);

}  // namespace luup::kernels
