#include "attention.h"
#include "cells.h"
#include "visible_cells.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace luup::kernels {

namespace {

constexpr int at_once      = VisibleCells::at_once;
constexpr int rows_at_once = lanes / 4;  // keeps the sums of four cells, or of four vectors of values, in registers
constexpr int rows_max     = 64;         // in a unit of work, which has one for each of its tokens and heads

// The tensors and parameters of ggml's operation.
struct Attention {
    const ggml_tensor *q, *k, *v, *mask, *sinks;
    ggml_tensor *      out;
    int64_t            tokens, heads, cells;
    float              scale, max_bias, softcap;

    explicit Attention(ggml_tensor * op)
        : q(op->src[0]),
          k(op->src[1]),
          v(op->src[2]),
          mask(op->src[3]),
          sinks(op->src[4]),
          out(op),
          tokens(q->ne[1]),
          heads(q->ne[2]),
          cells(k->ne[1]) {
        float parameters[3];
        std::memcpy(parameters, op->op_params, sizeof(parameters));
        max_bias = parameters[1];
        softcap  = parameters[2];
        scale    = softcap != 0 ? parameters[0] / softcap : parameters[0];
    }

    // Returns the factor of the mask for a head: 1 or ALiBi's slope.
    float slope(int64_t head) const {
        if (max_bias <= 0) {
            return 1.0f;
        }
        const auto power = static_cast<float>(1u << static_cast<uint32_t>(std::floor(std::log2(heads))));
        return head < power ? std::exp2(-max_bias * static_cast<float>(head + 1) / power)
                            : std::exp2(-max_bias / 2 * (2 * (static_cast<float>(head) - power) + 1) / power);
    }
};

template <class T> const T * at(const ggml_tensor * tensor, int64_t i1, int64_t i2) {
    return reinterpret_cast<const T *>(static_cast<const char *>(tensor->data) + i1 * tensor->nb[1] +
                                       i2 * tensor->nb[2]);
}

// The memory of a thread.
struct Scratch {
    static constexpr size_t line = 64;

    VisibleCells cells;
    float *      weights;  // of each row for a block of cells; first the scores

    Scratch(const Attention & attention, char * memory)
        : cells(memory, attention.cells),
          weights(reinterpret_cast<float *>(memory + VisibleCells::bytes(attention.cells))) {}

    static Scratch of_thread(const Attention & attention, const ggml_compute_params * params) {
        char * memory = static_cast<char *>(params->wdata);
        memory += (line - reinterpret_cast<uintptr_t>(memory) % line) % line;
        return Scratch(attention, memory + bytes(attention.cells) * static_cast<size_t>(params->ith));
    }

    static size_t bytes(int64_t cells) { return VisibleCells::bytes(cells) + rows_max * at_once * sizeof(float); }
};

// The heads of some tokens that share keys and values.
template <class Cells> class Unit {
    struct Row {
        const float * query;
        float *       out;  // the sum of weights times values, until it is finished
        float         largest;
        float         sum;
    };

    // Cells that some tokens have in common, and the keys of the next ones for prefetching.
    struct Block {
        const char * keys[at_once];
        const char * values[at_once];
        const char * later[at_once];
        int64_t      place;  // in the tokens' lists
        int          count;
    };

  public:
    Unit(const Attention & attention, Scratch & scratch, int64_t token, int tokens, int64_t head, int heads)
        : a_(attention),
          cells_(scratch.cells),
          weights_(scratch.weights),
          head_(head),
          tokens_(tokens),
          heads_(heads),
          key_vectors_(a_.k->ne[0] / lanes),
          value_vectors_(a_.v->ne[0] / lanes),
          crowded_(a_.k->nb[1] % 1024 == 0) {
        const int64_t shared = head / (a_.heads / a_.k->ne[2]);
        keys_                = at<char>(a_.k, 0, shared);
        values_              = at<char>(a_.v, 0, shared);
        for (int row = 0; row < tokens * heads; row++) {
            const int64_t of = token + row / heads, h = head + row % heads;
            rows_[row] = { at<float>(a_.q, of, h),
                           reinterpret_cast<float *>(static_cast<char *>(a_.out->data) +
                                                     (of * a_.heads + h) * a_.out->nb[1]),
                           -INFINITY, 0.0f };
            std::fill(rows_[row].out, rows_[row].out + a_.v->ne[0], 0.0f);
        }
        cells_.gather(a_.mask, token, tokens);
    }

    void attend() {
        int64_t most = 0;
        for (int token = 0; token < tokens_; token++) {
            most = std::max(most, cells_.count(token));
        }
        for (int64_t place = 0; place < most; place += at_once) {
            for (int token = 0; token < tokens_;) {
                const int together = cells_.together(token, place);
                if (place < cells_.count(token)) {
                    attend_block(place, token, together);
                }
                token += together;
            }
        }
        finish();
    }

  private:
    // Attends to a block of cells that some tokens have in common. A row's result does not depend on the rows beside
    // it.
    void attend_block(int64_t place, int token, int tokens) {
        const int count = static_cast<int>(std::min<int64_t>(at_once, cells_.count(token) - place));
        const int first = token * heads_, last = (token + tokens) * heads_;
        Block     block;
        place_all(block.keys, keys_, a_.k, cells_.index(token) + place);
        place_all(block.values, values_, a_.v, cells_.index(token) + place);
        place_all(block.later, keys_, a_.k, cells_.index(token) + place + at_once);
        block.place = place;
        block.count = count;
        for (int row = first; row < last;) {
            const int left = last - row;
            const int rows = left == 3 ? 3 : std::min(left, rows_at_once);  // three heads often share
            if (row == first) {
                attend_rows<true>(block, row, rows);
            } else {
                attend_rows<false>(block, row, rows);
            }
            row += rows;
        }
    }

    static void place_all(const char * (&at)[at_once], const char * base, const ggml_tensor * tensor,
                          const int32_t * index) {
        const size_t cell_bytes = tensor->nb[1];
        for (int c = 0; c < at_once; c++) {
            at[c] = base + static_cast<uint32_t>(index[c]) * cell_bytes;
        }
    }

    template <bool Fetching> void attend_rows(const Block & block, int row, int rows) {
        switch (rows) {
            case 1: attend_rows<1, Fetching>(block, row); break;
            case 2: attend_rows<2, Fetching>(block, row); break;
            case 3: attend_rows<3, Fetching>(block, row); break;
            default: attend_rows<rows_at_once, Fetching>(block, row); break;
        }
    }

    template <int R, bool Fetching> void attend_rows(const Block & block, int row) {
        score<R, Fetching>(block, row);
        for (int r = 0; r < R; r++) {
            weigh(row + r, block.place, block.count);
        }
        constexpr int wide   = R > rows_at_once ? 2 : 4;
        int64_t       vector = 0;
        for (; vector + wide <= value_vectors_; vector += wide) {
            add_values<R, wide>(block, row, vector);
        }
        for (; vector < value_vectors_; vector++) {
            add_values<R, 1>(block, row, vector);
        }
    }

    // Computes the scores of R rows. Not inlined, so that all sums stay in registers.
    template <int R, bool Fetching> LUUP_NOT_INLINED void score(const Block & block, int row) {
        for (int first = 0; first < block.count; first += lanes) {
            Floats fours[R][lanes / 4];
            for (int four = 0; four < lanes / 4; four++) {
                const char * const * keys = block.keys + first + four * 4;
                if (Fetching) {
                    fetch(block, first + four * 4);
                }
                Floats sums[R][4];
                for (int r = 0; r < R; r++) {
                    for (int c = 0; c < 4; c++) {
                        sums[r][c] = zero_floats();
                    }
                }
                for (int64_t i = 0; i < key_vectors_; i++) {
                    Floats parts[4];
                    for (int c = 0; c < 4; c++) {
                        parts[c] = Cells::load(keys[c], i);
                    }
                    for (int r = 0; r < R; r++) {
                        const Floats query = load_floats(rows_[row + r].query + i * lanes);
                        for (int c = 0; c < 4; c++) {
                            sums[r][c] = multiply_add(parts[c], query, sums[r][c]);
                        }
                    }
                }
                for (int r = 0; r < R; r++) {
                    fours[r][four] = sums_of_quarters(sums[r]);
                }
            }
            for (int r = 0; r < R; r++) {
                store(weights_ + (row + r) * at_once + first, multiply(sums_of_lanes(fours[r]), repeat(a_.scale)));
            }
        }
    }

    // Prefetches the next cells. An agent's cells lie between those of others, so the processor cannot predict them.
    // When they are a multiple of 1 KB apart, they share few places of the first-level cache, and an early fetch would
    // evict cells in use. Inlined, because gcc 12 drops calls of functions that only prefetch.
    LUUP_INLINED void fetch(const Block & block, int first) const {
        for (int c = first; c < first + 4; c++) {
            for (int64_t byte = 0; byte < Cells::bytes(key_vectors_); byte += 64) {
                crowded_ ? prefetch_second(block.later[c] + byte) : prefetch(block.later[c] + byte);
            }
            for (int64_t byte = 0; byte < Cells::bytes(value_vectors_); byte += 64) {
                crowded_ ? prefetch_second(block.values[c] + byte) : prefetch(block.values[c] + byte);
            }
        }
    }

    // Turns scores into weights, relative to the row's largest score so far.
    void weigh(int row, int64_t place, int count) {
        float * weights = weights_ + row * at_once;
        for (int c = 0; c < count && a_.softcap != 0; c++) {
            weights[c] = a_.softcap * std::tanh(weights[c]);
        }
        if (cells_.biased(row / heads_)) {
            const float slope = a_.slope(head_ + row % heads_);
            for (int c = 0; c < count; c++) {
                weights[c] += slope * cells_.bias(row / heads_, place + c);
            }
        }
        std::fill(weights + count, weights + (count + lanes - 1) / lanes * lanes, -INFINITY);
        Floats top = load_floats(weights);
        for (int c = lanes; c < count; c += lanes) {
            top = largest(top, load_floats(weights + c));
        }
        raise(rows_[row], largest_lane(top));
        Floats sum = zero_floats();
        for (int c = 0; c < count; c += lanes) {
            const Floats weight = exponential(subtract(load_floats(weights + c), repeat(rows_[row].largest)));
            store(weights + c, weight);
            sum = add(sum, weight);
        }
        rows_[row].sum += sum_of_lanes(sum);
    }

    void raise(Row & row, float score) const {
        if (score > row.largest) {
            const float factor = row.largest == -INFINITY ? 0.0f : std::exp(row.largest - score);
            for (int64_t i = 0; i < value_vectors_; i++) {
                store(row.out + i * lanes, multiply(load_floats(row.out + i * lanes), repeat(factor)));
            }
            row.sum *= factor;
            row.largest = score;
        }
    }

    // Adds W vectors of the values of a block of cells.
    template <int R, int W> LUUP_NOT_INLINED void add_values(const Block & block, int row, int64_t vector) {
        Floats sums[R][W];
        for (int r = 0; r < R; r++) {
            for (int w = 0; w < W; w++) {
                sums[r][w] = load_floats(rows_[row + r].out + (vector + w) * lanes);
            }
        }
        for (int c = 0; c < block.count; c++) {
            Floats parts[W];
            for (int w = 0; w < W; w++) {
                parts[w] = Cells::load(block.values[c], vector + w);
            }
            for (int r = 0; r < R; r++) {
                const Floats weight = repeat(weights_[(row + r) * at_once + c]);
                for (int w = 0; w < W; w++) {
                    sums[r][w] = multiply_add(weight, parts[w], sums[r][w]);
                }
            }
        }
        for (int r = 0; r < R; r++) {
            for (int w = 0; w < W; w++) {
                store(rows_[row + r].out + (vector + w) * lanes, sums[r][w]);
            }
        }
    }

    void finish() {
        for (int r = 0; r < tokens_ * heads_; r++) {
            Row & row = rows_[r];
            if (a_.sinks) {  // a sink gets a weight but has no value
                const float sink = static_cast<const float *>(a_.sinks->data)[head_ + r % heads_];
                raise(row, sink);
                row.sum += std::exp(sink - row.largest);
            }
            const float factor = row.sum > 0 ? 1.0f / row.sum : 0.0f;
            for (int64_t i = 0; i < value_vectors_; i++) {
                store(row.out + i * lanes, multiply(load_floats(row.out + i * lanes), repeat(factor)));
            }
        }
    }

    const Attention & a_;
    VisibleCells &    cells_;
    float *           weights_;
    const int64_t     head_;
    const int         tokens_, heads_;
    const int64_t     key_vectors_, value_vectors_;
    const bool        crowded_;
    const char *      keys_;
    const char *      values_;
    Row               rows_[rows_max];
};

// How the work is divided: each unit has some tokens, and those of their heads that share keys and values.
struct Cut {
    int     heads, tokens;
    int64_t shares, per_share;  // number of units for all heads, and for heads that share keys and values

    Cut(const Attention & a, int threads) {
        // The queries and results of a unit should stay in the first-level cache, beside a block's keys and values.
        const int64_t fitting = std::max<int64_t>(rows_at_once, 4096 / (a.k->ne[0] + a.v->ne[0]));
        const int64_t sharing = a.heads / a.k->ne[2];
        heads                 = static_cast<int>(std::min({ sharing, fitting, int64_t(rows_max) }));
        per_share             = (sharing + heads - 1) / heads;
        shares                = a.k->ne[2] * per_share;
        tokens =
            static_cast<int>(std::min<int64_t>(VisibleCells::tokens_max, std::min<int64_t>(fitting, rows_max) / heads));
        while (tokens > 1 && (a.tokens + tokens - 1) / tokens * shares < 3 * threads) {
            tokens /= 2;
        }
    }
};

// Attends for the heads `first` to `last` of one token.
template <class Cells> void attend_heads(const Attention & attention, Scratch & scratch, int64_t first, int64_t last) {
    const int64_t sharing = attention.heads / attention.k->ne[2];
    for (int64_t head = first; head < last;) {
        const int64_t heads = std::min({ last - head, sharing - head % sharing, int64_t(rows_max) });
        Unit<Cells>(attention, scratch, 0, 1, head, static_cast<int>(heads)).attend();
        head += heads;
    }
}

template <class Cells> void attend_to(const ggml_compute_params * params, ggml_tensor * op) {
    const Attention attention(op);
    Scratch         scratch = Scratch::of_thread(attention, params);
    if (attention.tokens == 1) {
        attend_heads<Cells>(attention, scratch, attention.heads * params->ith / params->nth,
                            attention.heads * (params->ith + 1) / params->nth);
        return;
    }
    const Cut     cut(attention, params->nth);
    const int64_t units = (attention.tokens + cut.tokens - 1) / cut.tokens * cut.shares;
    // Threads take one unit at a time, because a unit with more cells takes longer.
    if (params->ith == 0) {
        ggml_threadpool_chunk_set(params->threadpool, params->nth);
    }
    ggml_barrier(params->threadpool);
    for (int64_t unit = params->ith; unit < units; unit = ggml_threadpool_chunk_add(params->threadpool, 1)) {
        const int64_t token = unit / cut.shares * cut.tokens, share = unit % cut.shares;
        const int64_t sharing = attention.heads / attention.k->ne[2];
        const int64_t within  = share % cut.per_share * cut.heads;
        const int64_t heads   = std::min<int64_t>(cut.heads, sharing - within);
        const int64_t tokens  = std::min<int64_t>(cut.tokens, attention.tokens - token);
        Unit<Cells>(attention, scratch, token, static_cast<int>(tokens), share / cut.per_share * sharing + within,
                    static_cast<int>(heads))
            .attend();
    }
}

}  // namespace

bool can_attend(const ggml_tensor * op) {
    const ggml_tensor *q = op->src[0], *k = op->src[1], *v = op->src[2], *mask = op->src[3];
    const bool         cells = k->type == HalfCells::type || k->type == ByteCells::type || k->type == NibbleCells::type;
    return q->type == GGML_TYPE_F32 && cells && v->type == k->type && q->ne[3] == 1 && k->ne[3] == 1 && v->ne[3] == 1 &&
           q->nb[0] == sizeof(float) && k->nb[0] == ggml_type_size(k->type) && v->nb[0] == ggml_type_size(v->type) &&
           k->ne[0] % lanes == 0 && v->ne[0] % lanes == 0 && k->ne[2] == v->ne[2] && q->ne[2] % k->ne[2] == 0 &&
           (!mask || (mask->type == GGML_TYPE_F16 && mask->ne[2] == 1 && mask->ne[3] == 1));
}

size_t attention_scratch(int threads, const ggml_tensor * op) {
    return Scratch::line + Scratch::bytes(op->src[1]->ne[1]) * static_cast<size_t>(threads);
}

void attend(const ggml_compute_params * params, ggml_tensor * op) {
    switch (op->src[1]->type) {
        case ByteCells::type: return attend_to<ByteCells>(params, op);
        case NibbleCells::type: return attend_to<NibbleCells>(params, op);
        default: return attend_to<HalfCells>(params, op);
    }
}

}  // namespace luup::kernels
