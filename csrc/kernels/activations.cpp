#include "activations.h"

#include "simd.h"

#include "ggml.h"

#include <algorithm>

namespace luup::kernels {

namespace {

// Rounds `count` blocks of the n-th token of a tile of N tokens, or of `tokens` if N is 0. A token alone has its words
// one after the other, so that they are stored at once.
template <int N> void round_blocks(const float * x, int64_t count, int64_t n, int64_t tokens, uint8_t * to) {
    constexpr float most    = 32767.0f;
    constexpr float nothing = 1e-30f;  // counts as zero: the factor of smaller values would overflow
    const int64_t   stride  = N > 0 ? N : tokens;
    for (int64_t b = 0; b < count; b++) {
        // The members of an OfBlock<tokens>.
        auto * const pairs     = reinterpret_cast<int32_t *>(to) + b * stride * int64_t(sizeof(OfBlock<1>) / 4) + n;
        auto * const minus     = pairs + stride * (block / 2 + 2);
        const auto   set_float = [&](int64_t member, float value) {
            std::memcpy(pairs + stride * (block / 2 + member), &value, sizeof(value));
        };
        const float *       from    = x + b * block;
        const float         largest = largest_magnitude(from);
        const float         factor  = largest > nothing ? most / largest : 0.0f;
        alignas(64) int16_t apart[block];
        auto * const        words = N == 1 ? reinterpret_cast<int16_t *>(pairs) : apart;
        const int32_t       first = round_to_words(from, factor, words);
        const int32_t       last  = round_to_words(from + 16, factor, words + 16);
        const float         scale = factor > 0 ? largest / most : 0.0f;
        for (int i = 0; N != 1 && i < block / 2; i++) {
            pairs[i * stride] = pair(words + 2 * i);
        }
        set_float(0, scale);
        set_float(1, scale * static_cast<float>(first + last));
        minus[0]          = -first - last;
        minus[stride]     = -first;
        minus[2 * stride] = -last;
    }
}

const float * row_of(const ggml_tensor * activations, int64_t token) {
    const int64_t i1  = token % activations->ne[1];
    const int64_t i2  = token / activations->ne[1] % activations->ne[2];
    const int64_t i3  = token / activations->ne[1] / activations->ne[2];
    const char *  row = static_cast<const char *>(activations->data) + i1 * activations->nb[1] +
                        i2 * activations->nb[2] + i3 * activations->nb[3];
    return reinterpret_cast<const float *>(row);
}

template <class RowOf>
void round_tiles(RowOf row_of, int64_t tokens, int64_t columns, int64_t first, int64_t step, uint8_t * to) {
    const int64_t blocks = columns / block;
    const int64_t tiles = (tokens + tile - 1) / tile, chunks = (blocks + chunk - 1) / chunk;
    for (int64_t i = first; i < tiles * chunks; i += step) {
        const int64_t token = i / chunks * tile, begin = i % chunks * chunk;
        const int64_t of_tile = std::min<int64_t>(tile, tokens - token);
        const int64_t count   = std::min<int64_t>(chunk, blocks - begin);
        auto * const  place   = const_cast<uint8_t *>(Rounded{ to, tokens }.at(token, begin, count));
        if (of_tile == 1) {
            round_blocks<1>(row_of(token) + begin * block, count, 0, 1, place);
            continue;
        }
        for (int64_t n = 0; n < of_tile; n++) {
            round_blocks<0>(row_of(token + n) + begin * block, count, n, of_tile, place);
        }
    }
}

}  // namespace

void round_activations(const ggml_tensor * activations, int64_t first, int64_t step, uint8_t * to) {
    round_tiles([&](int64_t token) { return row_of(activations, token); }, ggml_nrows(activations), activations->ne[0],
                first, step, to);
}

void round_rows(const float * const * rows, int64_t tokens, int64_t columns, int64_t first, int64_t step,
                uint8_t * to) {
    round_tiles([&](int64_t token) { return rows[token]; }, tokens, columns, first, step, to);
}

}  // namespace luup::kernels
