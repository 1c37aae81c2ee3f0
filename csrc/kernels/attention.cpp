#include "attention.h"
#include "simd.h"

#include "ggml-cpu-impl.h"
#include "simd-mappings.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace luup::kernels {

namespace {

constexpr int     cells_at_once   = 32;         // whose weights are known before their values are added
constexpr int     heads_at_once   = 4;          // that share keys and values
constexpr int     vectors_at_once = lanes / 4;  // of a value, for all these heads in registers
constexpr int64_t fetched_ahead   = 16;         // cells
constexpr int64_t longest_head    = 512;

// The operation's tensors and numbers, as ggml has them.
struct Attention {
    const ggml_tensor *q, *k, *v, *mask, *sinks;
    ggml_tensor *      out;
    int64_t            tokens, heads, cells;
    float              scale, max_bias, softcap;

    explicit Attention(ggml_tensor * op)
        : q(op->src[0]), k(op->src[1]), v(op->src[2]), mask(op->src[3]), sinks(op->src[4]), out(op), tokens(q->ne[1]), heads(q->ne[2]), cells(k->ne[1]) {
        float parameters[3];
        std::memcpy(parameters, op->op_params, sizeof(parameters));
        max_bias = parameters[1];
        softcap  = parameters[2];
        scale    = softcap != 0 ? parameters[0] / softcap : parameters[0];
    }

    // What the mask is multiplied by for a head: 1, or ALiBi's slope.
    float slope(int64_t head) const {
        if (max_bias <= 0) {
            return 1.0f;
        }
        const auto power = static_cast<float>(1u << static_cast<uint32_t>(std::floor(std::log2(heads))));
        return head < power ? std::exp2(-max_bias * static_cast<float>(head + 1) / power)
                            : std::exp2(-max_bias / 2 * (2 * (static_cast<float>(head) - power) + 1) / power);
    }
};

template <class T>
const T * at(const ggml_tensor * tensor, int64_t i1, int64_t i2) {
    return reinterpret_cast<const T *>(static_cast<const char *>(tensor->data) + i1 * tensor->nb[1] + i2 * tensor->nb[2]);
}

// The cells that a token may see, and what its scores there have added.
struct Cells {
    int32_t * index;
    float *   bias;
    int64_t   token      = -1;
    int64_t   count      = 0;
    bool      has_biases = false;

    Cells(void * memory, int64_t most) : index(static_cast<int32_t *>(memory)), bias(reinterpret_cast<float *>(index + most)) {}

    static size_t bytes(int64_t most) { return static_cast<size_t>(most) * (sizeof(int32_t) + sizeof(float)); }

    // Of this token, unless they are it already.
    void gather(const ggml_tensor * mask, int64_t wanted, int64_t all) {
        if (token == wanted) {
            return;
        }
        token      = wanted;
        count      = 0;
        has_biases = false;
        if (!mask) {
            for (int64_t cell = 0; cell < all; cell++) {
                put(cell, 0.0f);
            }
            return;
        }
        const auto * row  = at<ggml_fp16_t>(mask, token, 0);
        int64_t      cell = 0;
        for (; cell + 2 * lanes <= all; cell += 2 * lanes) {
            if (!all_minus_infinity(row + cell)) {
                gather(row, cell, cell + 2 * lanes);
            }
        }
        gather(row, cell, all);
    }

  private:
    void gather(const ggml_fp16_t * row, int64_t first, int64_t last) {
        for (int64_t cell = first; cell < last; cell++) {
            if (row[cell] != minus_infinity) {
                put(cell, row[cell] == 0 ? 0.0f : GGML_CPU_FP16_TO_FP32(row[cell]));
            }
        }
    }

    void put(int64_t cell, float value) {
        index[count] = static_cast<int32_t>(cell);
        bias[count]  = value;
        has_biases |= value != 0;
        count++;
    }
};

// Some heads of a token that share keys and values.
template <int G>
class Heads {
  public:
    Heads(const Attention & attention, int64_t token, int64_t head)
        : a_(attention), head_(head), key_vectors_(a_.k->ne[0] / lanes), value_vectors_(a_.v->ne[0] / lanes) {
        for (int g = 0; g < G; g++) {
            query_[g]   = at<float>(a_.q, token, head + g);
            out_[g]     = reinterpret_cast<float *>(static_cast<char *>(a_.out->data) + (token * a_.heads + head + g) * a_.out->nb[1]);
            slope_[g]   = a_.slope(head + g);
            largest_[g] = -INFINITY;
            sum_[g]     = 0;
            std::fill(out_[g], out_[g] + a_.v->ne[0], 0.0f);
        }
        const int64_t shared = head / (a_.heads / a_.k->ne[2]);
        keys_                = at<char>(a_.k, 0, shared);
        values_              = at<char>(a_.v, 0, shared);
    }

    void attend(const Cells & cells) {
        for (int64_t first = 0; first < cells.count; first += cells_at_once) {
            const int count = static_cast<int>(std::min<int64_t>(cells_at_once, cells.count - first));
            switch (key_vectors_) {  // the usual sizes are known to the compiler
                case 4: score<4>(cells, first, count); break;
                case 8: score<8>(cells, first, count); break;
                default: score<0>(cells, first, count); break;
            }
            weigh(count);
            int64_t vector = 0;
            for (; vector + vectors_at_once <= value_vectors_; vector += vectors_at_once) {
                add_values<vectors_at_once>(cells, first, count, vector);
            }
            for (; vector < value_vectors_; vector++) {
                add_values<1>(cells, first, count, vector);
            }
        }
        finish();
    }

  private:
    // The scores of a block of cells, with keys of so many vectors (0: any number).
    template <int Vectors>
    void score(const Cells & cells, int64_t first, int count) {
        const int64_t vectors = Vectors > 0 ? Vectors : key_vectors_;
        for (int c = 0; c < count; c++) {
            const char * key = keys_ + cells.index[first + c] * a_.k->nb[1];
            // An agent's cells lie apart, between those of others: the processor would not guess the next one. (gcc 12 drops calls of a
            // function that does no more than this.)
            const char * later = keys_ + cells.index[std::min(first + c + fetched_ahead, cells.count - 1)] * a_.k->nb[1];
            const char * value = values_ + cells.index[first + c] * a_.v->nb[1];
            for (int64_t byte = 0; byte < vectors * lanes * 2; byte += 64) {
                prefetch(later + byte);
            }
            for (int64_t byte = 0; byte < value_vectors_ * lanes * 2; byte += 64) {
                prefetch(value + byte);
            }
            Floats sums[G];
            for (int g = 0; g < G; g++) {
                sums[g] = zero_floats();
            }
            for (int64_t i = 0; i < vectors; i++) {
                const Floats part = load_halves(key + i * lanes * 2);
                for (int g = 0; g < G; g++) {
                    sums[g] = multiply_add(part, load_floats(query_[g] + i * lanes), sums[g]);
                }
            }
            for (int g = 0; g < G; g++) {
                weights_[g][c] = sum_of_lanes(sums[g]) * a_.scale;
            }
        }
        for (int g = 0; g < G; g++) {
            for (int c = 0; c < count && a_.softcap != 0; c++) {
                weights_[g][c] = a_.softcap * std::tanh(weights_[g][c]);
            }
            for (int c = 0; c < count && cells.has_biases; c++) {
                weights_[g][c] += slope_[g] * cells.bias[first + c];
            }
            std::fill(weights_[g] + count, weights_[g] + cells_at_once, -INFINITY);
        }
    }

    // Scores to weights, relative to the largest score so far.
    void weigh(int count) {
        for (int g = 0; g < G; g++) {
            Floats top = load_floats(weights_[g]);
            for (int c = lanes; c < count; c += lanes) {
                top = largest(top, load_floats(weights_[g] + c));
            }
            raise(g, largest_lane(top));
            Floats sum = zero_floats();
            for (int c = 0; c < count; c += lanes) {
                const Floats weight = exponential(subtract(load_floats(weights_[g] + c), repeat(largest_[g])));
                store(weights_[g] + c, weight);
                sum = add(sum, weight);
            }
            sum_[g] += sum_of_lanes(sum);
        }
    }

    void raise(int g, float score) {
        if (score > largest_[g]) {
            const float factor = largest_[g] == -INFINITY ? 0.0f : std::exp(largest_[g] - score);
            for (int64_t i = 0; i < value_vectors_; i++) {
                store(out_[g] + i * lanes, multiply(load_floats(out_[g] + i * lanes), repeat(factor)));
            }
            sum_[g] *= factor;
            largest_[g] = score;
        }
    }

    // W vectors of the values of a block of cells.
    template <int W>
    void add_values(const Cells & cells, int64_t first, int count, int64_t vector) {
        Floats sums[G][W];
        for (int g = 0; g < G; g++) {
            for (int w = 0; w < W; w++) {
                sums[g][w] = load_floats(out_[g] + (vector + w) * lanes);
            }
        }
        for (int c = 0; c < count; c++) {
            const char * value = values_ + cells.index[first + c] * a_.v->nb[1] + vector * lanes * 2;
            Floats       parts[W];
            for (int w = 0; w < W; w++) {
                parts[w] = load_halves(value + w * lanes * 2);
            }
            for (int g = 0; g < G; g++) {
                const Floats weight = repeat(weights_[g][c]);
                for (int w = 0; w < W; w++) {
                    sums[g][w] = multiply_add(weight, parts[w], sums[g][w]);
                }
            }
        }
        for (int g = 0; g < G; g++) {
            for (int w = 0; w < W; w++) {
                store(out_[g] + (vector + w) * lanes, sums[g][w]);
            }
        }
    }

    void finish() {
        for (int g = 0; g < G; g++) {
            if (a_.sinks) {  // takes weight, and has no value
                const float sink = static_cast<const float *>(a_.sinks->data)[head_ + g];
                raise(g, sink);
                sum_[g] += std::exp(sink - largest_[g]);
            }
            const float factor = sum_[g] > 0 ? 1.0f / sum_[g] : 0.0f;
            for (int64_t i = 0; i < value_vectors_; i++) {
                store(out_[g] + i * lanes, multiply(load_floats(out_[g] + i * lanes), repeat(factor)));
            }
        }
    }

    const Attention & a_;
    const int64_t     head_, key_vectors_, value_vectors_;
    const float *     query_[G];
    const char *      keys_;
    const char *      values_;
    float *           out_[G];  // the sum of weights times values, until it is finished
    float             slope_[G];
    float             largest_[G];
    float             sum_[G];
    alignas(64) float weights_[G][cells_at_once];
};

template <int G>
void attend_heads(const Attention & attention, const Cells & cells, int64_t token, int64_t head) {
    Heads<G>(attention, token, head).attend(cells);
}

// Rows `first` to `last` of the result, which has one for each token and head.
void attend_rows(const Attention & attention, Cells & cells, int64_t first, int64_t last) {
    const int64_t sharing = attention.heads / attention.k->ne[2];
    for (int64_t row = first; row < last;) {
        const int64_t token = row / attention.heads, head = row % attention.heads;
        cells.gather(attention.mask, token, attention.cells);
        const int64_t together = std::min({ last - row, sharing - head % sharing, int64_t(heads_at_once) });
        switch (together) {
            case 1: attend_heads<1>(attention, cells, token, head); break;
            case 2: attend_heads<2>(attention, cells, token, head); break;
            case 3: attend_heads<3>(attention, cells, token, head); break;
            default: attend_heads<4>(attention, cells, token, head); break;
        }
        row += together;
    }
}

}  // namespace

bool can_attend(const ggml_tensor * op) {
    const ggml_tensor *q = op->src[0], *k = op->src[1], *v = op->src[2], *mask = op->src[3];
    return q->type == GGML_TYPE_F32 && k->type == GGML_TYPE_F16 && v->type == GGML_TYPE_F16 && q->ne[3] == 1 &&
           k->ne[3] == 1 && v->ne[3] == 1 && q->nb[0] == sizeof(float) && k->nb[0] == 2 && v->nb[0] == 2 && k->ne[0] % lanes == 0 &&
           v->ne[0] % lanes == 0 && v->ne[0] <= longest_head && k->ne[2] == v->ne[2] && q->ne[2] % k->ne[2] == 0 &&
           (!mask || (mask->type == GGML_TYPE_F16 && mask->ne[2] == 1 && mask->ne[3] == 1));
}

size_t attention_scratch(int threads, const ggml_tensor * op) {
    return Cells::bytes(op->src[1]->ne[1]) * static_cast<size_t>(threads);
}

void attend(const ggml_compute_params * params, ggml_tensor * op) {
    const Attention attention(op);
    const int64_t   rows = attention.tokens * attention.heads;
    Cells           cells(static_cast<char *>(params->wdata) + Cells::bytes(attention.cells) * static_cast<size_t>(params->ith), attention.cells);
    if (attention.tokens == 1) {
        attend_rows(attention, cells, rows * params->ith / params->nth, rows * (params->ith + 1) / params->nth);
        return;
    }
    // A token at a time: one that sees much takes longer than others. Of few tokens parts, but not of the heads that are worked on together.
    if (params->ith == 0) {
        ggml_threadpool_chunk_set(params->threadpool, params->nth);
    }
    ggml_barrier(params->threadpool);
    const int64_t together = std::min<int64_t>(attention.heads / attention.k->ne[2], heads_at_once);
    const int64_t share    = rows / (int64_t(params->nth) * 4) / together * together;
    const int64_t part     = std::max(together, std::min(attention.heads, share));
    const int64_t parts    = (rows + part - 1) / part;
    for (int64_t i = params->ith; i < parts; i = ggml_threadpool_chunk_add(params->threadpool, 1)) {
        attend_rows(attention, cells, i * part, std::min(rows, (i + 1) * part));
    }
}

}  // namespace luup::kernels
