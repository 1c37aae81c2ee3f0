/*
 * Attention in a context that many agents share.
 *
 * ggml asks of each cell and head whether the token may see it (in batches of 64 tokens and more, of whole tiles of cells). Here a token's cells are
 * gathered once for all heads, in blocks; what tokens next to each other see alike is read once for all of them and for all heads that share keys and
 * values. Sums are kept in single precision. What the cells of other agents hold is not read at all, and a token's result depends on what it sees, in
 * the order of the cells, and not on what is decoded with it.
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
