/*
 * Lists of the cells that the tokens of a batch may see.
 *
 * A context has the cells of many agents, and the mask says for each cell whether a token may see it. A few
 * neighbouring tokens are handled together: the common beginning of their lists, mostly a prompt, is read once for all
 * of them.
 */
#pragma once

#include "simd.h"

#include "ggml-cpu-impl.h"
#include "simd-mappings.h"

#include <algorithm>
#include <cstring>

namespace luup::kernels {

class VisibleCells {
  public:
    static constexpr int at_once    = 32;  // cells in a block
    static constexpr int tokens_max = 8;

    static size_t bytes(int64_t cells) { return static_cast<size_t>(tokens_max * rounded(cells)) * sizeof(int32_t); }

    VisibleCells(void * memory, int64_t cells)
        : all_(cells), stride_(rounded(cells)), index_(static_cast<int32_t *>(memory)) {}

    // Gathers the cells of `tokens` tokens from `first` on, unless it has them already. Without a mask each token sees
    // all cells.
    void gather(const ggml_tensor * mask, int64_t first, int tokens) {
        if (first_ == first && tokens_ == tokens) {
            return;
        }
        first_  = first;
        tokens_ = tokens;
        for (int t = 0; t < tokens; t++) {
            row_[t]    = mask ? reinterpret_cast<const ggml_fp16_t *>(static_cast<const char *>(mask->data) +
                                                                      (first + t) * mask->nb[1])
                              : nullptr;
            count_[t]  = 0;
            biased_[t] = false;
            if (mask) {
                gather_row(t);
            } else {
                put_all(t, 0, all_);
            }
            std::fill_n(list(t) + count_[t], 2 * at_once, count_[t] > 0 ? list(t)[count_[t] - 1] : 0);
            common_[t] = t == 0 ? 0 : common(t - 1, t);
        }
    }

    int64_t count(int token) const { return count_[token]; }
    // The list is two blocks longer than count(): it repeats the last cell.
    const int32_t * index(int token) const { return index_ + token * stride_; }
    // Whether the mask adds anything but zero to the token's scores, and what it adds at a place of the list.
    bool  biased(int token) const { return biased_[token]; }
    float bias(int token, int64_t place) const { return GGML_CPU_FP16_TO_FP32(row_[token][index(token)[place]]); }

    // Returns how many tokens from this one on have the same cells in the block of their lists that begins at `place`.
    int together(int token, int64_t place) const {
        const int64_t last = std::min(place + at_once, count_[token]);
        int           end  = token + 1;
        while (end < tokens_ && common_[end] >= last && std::min(place + at_once, count_[end]) == last) {
            end++;
        }
        return end - token;
    }

  private:
    static int64_t rounded(int64_t cells) { return (cells + at_once - 1) / at_once * at_once + 2 * at_once; }

    int32_t * list(int token) { return index_ + token * stride_; }

    void gather_row(int token) {
        const ggml_fp16_t * row  = row_[token];
        int64_t             cell = 0;
        for (; cell + 2 * lanes <= all_; cell += 2 * lanes) {
            switch (which_are(row + cell)) {
                case Masked::all: break;
                case Masked::none: put_all(token, cell, cell + 2 * lanes); break;
                case Masked::some: put_seen(token, cell, cell + 2 * lanes); break;
            }
        }
        put_seen(token, cell, all_);
    }

    void put_all(int token, int64_t first, int64_t last) {
        int32_t * to = list(token) + count_[token];
        for (int64_t cell = first; cell < last; cell++) {
            to[cell - first] = static_cast<int32_t>(cell);
        }
        count_[token] += last - first;
    }

    void put_seen(int token, int64_t first, int64_t last) {
        const ggml_fp16_t * row    = row_[token];
        int32_t *           to     = list(token) + count_[token];
        bool                biased = false;
        for (int64_t cell = first; cell < last; cell++) {
            if (row[cell] != minus_infinity) {
                *to++ = static_cast<int32_t>(cell);
                biased |= row[cell] != 0;
            }
        }
        count_[token] = to - list(token);
        biased_[token] |= biased;
    }

    // Returns the length of the common beginning of both lists.
    int64_t common(int a, int b) const {
        const int64_t most = std::min(count_[a], count_[b]);
        int64_t       same = 0;
        while (same + at_once <= most &&
               std::memcmp(index(a) + same, index(b) + same, at_once * sizeof(int32_t)) == 0) {
            same += at_once;
        }
        while (same < most && index(a)[same] == index(b)[same]) {
            same++;
        }
        return same;
    }

    const int64_t       all_, stride_;
    int32_t *           index_;
    int64_t             first_  = -1;
    int                 tokens_ = 0;
    const ggml_fp16_t * row_[tokens_max];  // of the mask
    int64_t             count_[tokens_max], common_[tokens_max];
    bool                biased_[tokens_max];
};

}  // namespace luup::kernels
