/*
 * Matrix products with quantized weights, several times as fast as ggml's for many formats.
 *
 * Weights (Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K) are laid out anew when a model is loaded: what `lanes` rows have at the same place stands side by
 * side, so that one instruction multiplies for as many rows as a register has lanes, nothing is added up across a register, and a scale is read once
 * for all of them. Activations are rounded to 16 bits, not to 8 as in ggml, and a row's products are added in the same order whatever the batch: a
 * token's result depends neither on which others are decoded with it nor, but for the last digits, on the kind of CPU.
 *
 * It is one more of ggml's "extra buffer types", next to AMX and CPU_REPACK, in the modules of the CPU variants that can run it.
 */
#pragma once

#include <cstddef>
#include <cstdint>

struct ggml_backend_buffer_type;
struct ggml_compute_params;
struct ggml_tensor;

namespace luup::kernels {

// For weights of this shape and type: is there a kernel here?
bool can_interleave(const ggml_tensor * weights);

// What they take once they are laid out: up to 3 % more than in ggml's format.
size_t interleaved_bytes(const ggml_tensor * weights);

// Lays out what `rows` holds in ggml's own format; `to` has room for interleaved_bytes().
void interleave(const ggml_tensor * weights, const void * rows, void * to);

// What `multiply` needs of scratch memory, in bytes.
size_t scratch_size(int threads, const ggml_tensor * product);

// One thread's part of product = weights x activations, the weights laid out by `interleave`.
void multiply(const ggml_compute_params * params, ggml_tensor * product);

// The memory that such weights live in. Never freed.
ggml_backend_buffer_type * interleaved_buffer_type();

}  // namespace luup::kernels
