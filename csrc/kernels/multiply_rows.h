// Products of groups of rows with any number of tokens.
#pragma once

#include "activations.h"
#include "layout.h"
#include "multiply_few.h"
#include "multiply_many.h"

#include "ggml-impl.h"
#include "ggml.h"

#include <algorithm>

namespace luup::kernels {

// Up to this number of values every thread rounds all activations for itself, since a barrier would take longer.
constexpr int64_t rounded_by_each = 8192;

// From this number of tokens on, weights are unpacked into memory.
constexpr int64_t many = lanes == 16 ? 33 : 17;

// Tokens whose activations of one chunk stay in the second-level cache.
constexpr int64_t tokens_at_once = 384;

// Multiplies the groups of rows `first` to `last` with `tokens` tokens, at most tokens_at_once, from `token` on. It has
// the first place in `outs`.
template <class Layout>
void multiply_rows(const uint8_t * weights, int64_t blocks, const Rounded & activations, float * const * outs,
                   int64_t first, int64_t last, int64_t token, int64_t tokens) {
    if (tokens >= many || token > 0) {
        multiply_many<Layout>(weights, first, last, blocks, activations, token, tokens, outs);
        return;
    }
    const auto group_bytes = static_cast<int64_t>(Layout::bytes(blocks));
    if (tokens == 1) {  // called most often, so without the search for the size of the tile
        for (int64_t group = first; group < last; group++) {
            multiply_tile<Layout, 1>(weights + group * group_bytes, blocks, activations, 0, outs, group * lanes);
        }
        return;
    }
    for (int64_t group = first; group < last; group++) {
        multiply_few<Layout>(weights + group * group_bytes, blocks, activations, outs, group * lanes);
    }
}

// Returns how many groups a thread takes at a time: few, so that their weights stay in the cache for all tokens, and no
// thread ends much later than the others.
inline int64_t groups_at_once(const ggml_tensor * weights, int64_t groups, int64_t threads) {
    const int64_t group_bytes = static_cast<int64_t>(ggml_row_size(weights->type, weights->ne[0])) * lanes;
    const int64_t wanted      = std::min(cached_bytes / group_bytes, groups / (threads * 4));
    return std::max<int64_t>(2, wanted / 2 * 2);  // multiply_many() takes two groups together
}

}  // namespace luup::kernels
