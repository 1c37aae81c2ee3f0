// Activations as the kernels multiply them: rounded to 16 bits, with a scale for each block of 32. ggml rounds to 8
// bits. That causes most of the difference between its results and exact ones, and resolves near ties differently on
// each kind of CPU.
#pragma once

#include <cstddef>
#include <cstdint>

struct ggml_tensor;

namespace luup::kernels {

// The data of a block of 32 activations. A token's activations come first, two bytes each, with the second and the
// third of each four exchanged. One of these for each block follows.
struct OfBlock {
    float   scale;
    float   scaled_sum;     // of the rounded activations
    int32_t minus_zero[2];  // for each half: -32 times the sum of the rounded activations, for quants whose zero is 32
};

// Returns the bytes of a token with that many columns.
size_t activation_bytes(int64_t columns);

// Rounds the tokens `first`, `first + step`, … of a tensor of floats and writes them to their places in `to`.
void round_activations(const ggml_tensor * activations, int64_t first, int64_t step, uint8_t * to);

}  // namespace luup::kernels
