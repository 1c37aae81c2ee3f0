/*
 * Attention for the few tokens of a decode: one or several for each of many agents, in a context that all share.
 *
 * ggml has two ways: one for 64 tokens and more at once, which is good, and one for fewer, which asks of each cell and head whether the token
 * may see it. Here a token's cells are gathered once for all heads, those that share keys and values are worked on together, and sums are kept in
 * single precision. Memory is read once for each key and value of a token; what other agents' cells hold is not read at all.
 */
#pragma once

#include <cstddef>

struct ggml_compute_params;
struct ggml_tensor;

namespace luup::kernels {

// Whether the operation is one that attend() is made for.
bool can_attend(const ggml_tensor * attention);

// What attend() needs of scratch memory, in bytes.
size_t attention_scratch(int threads, const ggml_tensor * attention);

// One thread's part.
void attend(const ggml_compute_params * params, ggml_tensor * attention);

}  // namespace luup::kernels
