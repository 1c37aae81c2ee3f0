/*
 * Matrix products with quantized weights, several times as fast as ggml's for many formats.
 *
 * Weights (of the formats at the end of layout.h) are rearranged when a model is loaded: the quants of `lanes` rows at
 * the same column are adjacent. One instruction then multiplies for as many rows as a register has lanes, no sums
 * across a register are needed, and a scale is read once for all rows. Activations are rounded to 16 bits, not to 8 as
 * in ggml, and a row's products are added in the same order in any batch. So a token's result does not depend on the
 * other tokens of the batch, nor, except for the last digits, on the kind of CPU. With few tokens the weights are
 * unpacked in registers (multiply_few.h), with many they are unpacked into memory once for all tokens
 * (multiply_many.h).
 *
 * This is one of ggml's "extra buffer types", like AMX and CPU_REPACK, in the modules of the CPU variants that can run
 * it.
 */
#pragma once

#include <cstddef>
#include <cstdint>

struct ggml_backend_buffer_type;
struct ggml_cgraph;
struct ggml_compute_params;
struct ggml_tensor;

namespace luup::kernels {

// Returns whether there is a kernel for weights of this shape and type: a matrix, or one for each of several experts.
bool can_interleave(const ggml_tensor * weights);

// Returns the size of the interleaved weights: up to 3 % more than in ggml's format.
size_t interleaved_bytes(const ggml_tensor * weights);

// Converts `rows` from ggml's own format; `to` has room for interleaved_bytes().
void interleave(const ggml_tensor * weights, const void * rows, void * to);

// Returns the bytes of scratch memory that multiply() needs.
size_t scratch_size(int threads, const ggml_tensor * product);

// Computes one thread's part of some products = weights x activations, with weights from interleave(). All have the
// same activations, which are rounded once, and the threads wait for each other at the end of all.
void multiply(const ggml_compute_params * params, ggml_tensor * const * products, size_t count);

// The same for the matrices of a mixture of experts, GGML_OP_MUL_MAT_ID.
size_t experts_scratch_size(int threads, const ggml_tensor * product);
void   multiply_experts(const ggml_compute_params * params, ggml_tensor * product);

// Computes one thread's part of the node `first` of a graph and of those that come next, if all are products of such
// weights with the same activations. Returns the number of nodes that came next, or 0 if it did nothing.
int multiply_together(const ggml_compute_params * params, const ggml_cgraph * graph, int first);

// Returns the type of the buffers that hold such weights. Never freed.
ggml_backend_buffer_type * interleaved_buffer_type();

}  // namespace luup::kernels
