/*
 * The cells that tokens of a batch may see, as lists.
 *
 * A context holds the cells of many agents, and the mask tells of each cell whether a token may see it. A few tokens next to each other are looked
 * at together: what two of them have in common at the start of their lists, a prompt for the most part, need not be read for each of them.
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
    static constexpr int at_once    = 32;  // cells that are worked on together
    static constexpr int tokens_max = 8;

    static size_t bytes(int64_t cells) { return static_cast<size_t>(tokens_max * rounded(cells)) * (sizeof(int32_t) + sizeof(float)); }

    VisibleCells(void * memory, int64_t cells)
        : all_(cells), stride_(rounded(cells)), index_(static_cast<int32_t *>(memory)), bias_(reinterpret_cast<float *>(index_ + tokens_max * stride_)) {}

    // Those of `tokens` tokens from `first` on, unless they are here already. Without a mask each token sees all cells.
    void gather(const ggml_tensor * mask, int64_t first, int tokens) {
        if (first_ == first && tokens_ == tokens) {
            return;
        }
        first_  = first;
        tokens_ = tokens;
        for (int t = 0; t < tokens; t++) {
            List list = { index_ + t * stride_, bias_ + t * stride_, 0, false };
            if (mask) {
                gather(list, reinterpret_cast<const ggml_fp16_t *>(static_cast<const char *>(mask->data) + (first + t) * mask->nb[1]));
            } else {
                put_all(list, 0, all_);
            }
            std::fill_n(list.index + list.count, 2 * at_once, list.count > 0 ? list.index[list.count - 1] : 0);
            count_[t]  = list.count;
            biased_[t] = list.biased;
            common_[t] = t == 0 ? 0 : common(t - 1, t);
        }
    }

    int64_t count(int token) const { return count_[token]; }
    // Two blocks longer, by the last cell again and again.
    const int32_t * index(int token) const { return index_ + token * stride_; }
    // What is added to the token's scores, if anything is.
    const float * bias(int token) const { return biased_[token] ? bias_ + token * stride_ : nullptr; }

    // How many tokens from this one on have the same in the block of `at_once` places of their lists that begins with `place`.
    int together(int token, int64_t place) const {
        const int64_t last = std::min(place + at_once, count_[token]);
        int           end  = token + 1;
        while (end < tokens_ && common_[end] >= last && std::min(place + at_once, count_[end]) == last) {
            end++;
        }
        return end - token;
    }

  private:
    struct List {
        int32_t * index;
        float *   bias;
        int64_t   count;
        bool      biased;
    };

    static int64_t rounded(int64_t cells) { return (cells + at_once - 1) / at_once * at_once + 2 * at_once; }

    void gather(List & list, const ggml_fp16_t * row) const {
        int64_t cell = 0;
        for (; cell + 2 * lanes <= all_; cell += 2 * lanes) {
            switch (which_are(row + cell)) {
                case Masked::all: break;
                case Masked::none: put_all(list, cell, cell + 2 * lanes); break;
                case Masked::some: put(list, row, cell, cell + 2 * lanes); break;
            }
        }
        put(list, row, cell, all_);
    }

    static void put_all(List & list, int64_t first, int64_t last) {
        for (int64_t cell = first; cell < last; cell++) {
            list.index[list.count + cell - first] = static_cast<int32_t>(cell);
            list.bias[list.count + cell - first]  = 0;
        }
        list.count += last - first;
    }

    static void put(List & list, const ggml_fp16_t * row, int64_t first, int64_t last) {
        for (int64_t cell = first; cell < last; cell++) {
            if (row[cell] != minus_infinity) {
                list.index[list.count] = static_cast<int32_t>(cell);
                list.bias[list.count]  = row[cell] == 0 ? 0.0f : GGML_CPU_FP16_TO_FP32(row[cell]);
                list.biased |= list.bias[list.count] != 0;
                list.count++;
            }
        }
    }

    // The length of what both lists begin with.
    int64_t common(int a, int b) const {
        const int64_t most = std::min(count_[a], count_[b]);
        int64_t       same = 0;
        while (same + at_once <= most && std::memcmp(index(a) + same, index(b) + same, at_once * sizeof(int32_t)) == 0) {
            same += at_once;
        }
        while (same < most && index(a)[same] == index(b)[same]) {
            same++;
        }
        return same;
    }

    const int64_t all_, stride_;
    int32_t *     index_;
    float *       bias_;
    int64_t       first_  = -1;
    int           tokens_ = 0;
    int64_t       count_[tokens_max], common_[tokens_max];
    bool          biased_[tokens_max];
};

}  // namespace luup::kernels
