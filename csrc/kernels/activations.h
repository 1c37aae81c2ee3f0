// Activations as the kernels multiply them: rounded to 16 bits, with a scale for each 32. ggml rounds to 8, which is what most of the difference between
// its answers and those of exact activations comes from; near ties then fall otherwise on each kind of CPU.
#pragma once

#include <cstddef>
#include <cstdint>

struct ggml_tensor;

namespace luup::kernels {

// What belongs to a block of 32. A token's activations are two bytes each, of each four the first, the third, the second and the fourth; behind all is
// one of these for each block.
struct OfBlock {
    float   scale;
    float   scaled_sum;     // the sum of the activations, as rounded
    int32_t minus_zero[2];  // of each half: the sum of the rounded activations times -32, for quants that have 32 for zero
};

// What a token of so many columns takes.
size_t activation_bytes(int64_t columns);

// Rounds the tokens `first`, `first + step`, ... of a tensor of floats, to their places in `to`.
void round_activations(const ggml_tensor * activations, int64_t first, int64_t step, uint8_t * to);

}  // namespace luup::kernels
