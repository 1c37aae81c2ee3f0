/*
 * Attention in a context that many agents share.
 *
 * ggml checks for each cell and head whether the token may see it (in batches of 64 tokens and more, for whole tiles of
 * cells). Here the cells that a token sees are gathered once for all heads, in blocks. Cells that neighbouring tokens
 * have in common are read once for all of these tokens, and for all heads that share keys and values. Sums are in
 * single precision. The cells of other agents are not read, so the result for a token depends only on the cells that it
 * sees and their order, not on the other tokens of the batch. Keys and values are half floats, or both Q8_0 or Q4_0.
 */
#pragma once

#include <cstddef>

struct ggml_compute_params;
struct ggml_tensor;

namespace luup::kernels {

// Returns whether attend() supports the operation.
bool can_attend(const ggml_tensor * attention);

// Returns the bytes of scratch memory that attend() needs.
size_t attention_scratch(int threads, const ggml_tensor * attention);

// Computes one thread's part of the operation.
void attend(const ggml_compute_params * params, ggml_tensor * attention);

}  // namespace luup::kernels
