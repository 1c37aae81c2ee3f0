// Attention against plain arithmetic.
#include "backend.h"
#include "check.h"

#include <algorithm>
#include <cmath>

namespace {

struct Shape {
    int64_t   tokens, cells, heads, shared_heads, size;
    float     max_bias, softcap;
    bool      sinks;
    bool      causal;
    ggml_type type = GGML_TYPE_F16;  // of keys and values
};

// Whether a token sees a cell: all cells up to its own if causal; else the first half, a shared prompt, and few of the
// others, most of which are other agents'.
bool sees(const Shape & s, int64_t token, int64_t cell) {
    return s.causal ? cell <= s.cells - s.tokens + token : cell < s.cells / 2 || cell / 5 % 7 == token % 7;
}

// Returns numbers as the cells have them.
std::vector<char> stored(ggml_type type, const Matrix & values) {
    std::vector<char> bytes(ggml_row_size(type, static_cast<int64_t>(values.size())));
    ggml_quantize_chunk(type, values.data(), bytes.data(), 0, 1, static_cast<int64_t>(values.size()), nullptr);
    return bytes;
}

Matrix rounded(ggml_type type, Matrix values) {
    const std::vector<char> bytes = stored(type, values);
    ggml_get_type_traits(type)->to_float(bytes.data(), values.data(), static_cast<int64_t>(values.size()));
    return values;
}

struct Inputs {
    Matrix q, k, v, mask, sinks;

    explicit Inputs(const Shape & s) {
        std::mt19937                    random(11);
        std::normal_distribution<float> normal;
        const auto                      numbers = [&](int64_t n) {
            Matrix result(static_cast<size_t>(n));
            for (float & x : result) {
                x = normal(random);
            }
            return result;
        };
        q     = numbers(s.size * s.heads * s.tokens);
        k     = rounded(s.type, numbers(s.size * s.shared_heads * s.cells));
        v     = rounded(s.type, numbers(s.size * s.shared_heads * s.cells));
        sinks = numbers(s.heads);
        mask.resize(static_cast<size_t>(s.cells * s.tokens));
        for (int64_t token = 0; token < s.tokens; token++) {
            for (int64_t cell = 0; cell < s.cells; cell++) {
                // From the 31st on tokens see nothing; with ALiBi what is seen has a distance.
                const float distance = s.max_bias > 0 ? -static_cast<float>(cell % 100) : 0.0f;
                mask[static_cast<size_t>(token * s.cells + cell)] =
                    sees(s, token, cell) && (s.causal || token < 30) ? distance : -INFINITY;
            }
        }
    }
};

Matrix attended(const Shape & s, const Inputs & inputs, int threads) {
    Owned<ggml_backend> backend = new_backend(threads);
    const auto          context = new_context();
    // As in a KV cache: the heads of a cell, or of a token, side by side.
    ggml_tensor * of_q  = ggml_new_tensor_3d(context.get(), GGML_TYPE_F32, s.size, s.heads, s.tokens);
    ggml_tensor * of_k  = ggml_new_tensor_3d(context.get(), s.type, s.size, s.shared_heads, s.cells);
    ggml_tensor * of_v  = ggml_new_tensor_3d(context.get(), s.type, s.size, s.shared_heads, s.cells);
    ggml_tensor * of_m  = ggml_new_tensor_2d(context.get(), GGML_TYPE_F16, s.cells, s.tokens);
    ggml_tensor * of_s  = ggml_new_tensor_1d(context.get(), GGML_TYPE_F32, s.heads);
    const auto    turn  = [&](ggml_tensor * t) { return ggml_permute(context.get(), t, 0, 2, 1, 3); };
    const float   scale = 1.0f / std::sqrt(static_cast<float>(s.size));
    ggml_tensor * out =
        ggml_flash_attn_ext(context.get(), turn(of_q), turn(of_k), turn(of_v), of_m, scale, s.max_bias, s.softcap);
    if (s.sinks) {
        ggml_flash_attn_ext_add_sinks(out, of_s);
    }
    ggml_cgraph * graph = ggml_new_graph_custom(context.get(), 16, false);
    ggml_build_forward_expand(graph, out);
    Owned<ggml_backend_buffer> buffer(ggml_backend_alloc_ctx_tensors(context.get(), backend.get()));
    const auto                 set = [](ggml_tensor * tensor, const Matrix & values) {
        const std::vector<char> bytes = stored(tensor->type, values);
        ggml_backend_tensor_set(tensor, bytes.data(), 0, bytes.size());
    };
    ggml_backend_tensor_set(of_q, inputs.q.data(), 0, inputs.q.size() * sizeof(float));
    set(of_k, inputs.k);
    set(of_v, inputs.v);
    set(of_m, inputs.mask);
    if (s.sinks) {
        ggml_backend_tensor_set(of_s, inputs.sinks.data(), 0, inputs.sinks.size() * sizeof(float));
    }
    CHECK(ggml_backend_graph_compute(backend.get(), graph) == GGML_STATUS_SUCCESS);
    Matrix result(inputs.q.size());
    ggml_backend_tensor_get(out, result.data(), 0, result.size() * sizeof(float));
    return result;
}

void check_attention(const Shape & s) {
    const Inputs inputs(s);
    const Matrix result = attended(s, inputs, 1);
    const Matrix again  = attended(s, inputs, 3);
    CHECK(std::memcmp(result.data(), again.data(), result.size() * sizeof(float)) == 0);

    const float scale = 1.0f / std::sqrt(static_cast<float>(s.size));
    for (int64_t token = 0; token < s.tokens; token++) {
        for (int64_t head = 0; head < s.heads; head++) {
            const int64_t shared = head / (s.heads / s.shared_heads);
            // The slopes of ALiBi, for a number of heads that is a power of two.
            const double slope = s.max_bias > 0 ? std::exp2(-s.max_bias * double(head + 1) / double(s.heads)) : 1.0;
            std::vector<double> sums(static_cast<size_t>(s.size));
            double weights = s.sinks && token < 30 ? std::exp(double(inputs.sinks[static_cast<size_t>(head)])) : 0.0;
            for (int64_t cell = 0; cell < s.cells; cell++) {
                const double bias = inputs.mask[static_cast<size_t>(token * s.cells + cell)];
                if (bias == -INFINITY) {
                    continue;
                }
                double score = 0;
                for (int64_t i = 0; i < s.size; i++) {
                    const double query = inputs.q[static_cast<size_t>((token * s.heads + head) * s.size + i)];
                    score += query * inputs.k[static_cast<size_t>((cell * s.shared_heads + shared) * s.size + i)];
                }
                score *= scale;
                score               = (s.softcap > 0 ? s.softcap * std::tanh(score / s.softcap) : score) + slope * bias;
                const double weight = std::exp(score);
                weights += weight;
                for (int64_t i = 0; i < s.size; i++) {
                    sums[static_cast<size_t>(i)] +=
                        weight * inputs.v[static_cast<size_t>((cell * s.shared_heads + shared) * s.size + i)];
                }
            }
            for (int64_t i = 0; i < s.size; i++) {
                const double expected = weights > 0 ? sums[static_cast<size_t>(i)] / weights : 0.0;
                CHECK(std::fabs(expected - result[static_cast<size_t>((token * s.heads + head) * s.size + i)]) < 2e-5);
            }
        }
    }
}

}  // namespace

CASE(attention_is_that_of_plain_arithmetic) {
    check_attention({ 1, 33, 4, 4, 64, 0, 0, false, false });
    check_attention({ 1, 1000, 9, 3, 64, 0, 0, false, false });
    check_attention({ 5, 300, 8, 2, 128, 0, 0, false, false });
    check_attention({ 33, 512, 9, 3, 64, 0, 0, false, false });
    check_attention({ 31, 257, 8, 1, 80, 0, 0, false, false });
    check_attention({ 7, 100, 14, 2, 64, 0, 0, true, false });
    check_attention({ 3, 100, 8, 8, 256, 0, 30, false, false });
    check_attention({ 3, 200, 8, 8, 96, 8, 0, false, false });
    check_attention({ 70, 200, 4, 2, 64, 0, 0, false, false });
    check_attention({ 100, 300, 6, 2, 64, 0, 0, false, true });
    check_attention({ 4, 70, 71, 1, 64, 0, 0, false, true });
    check_attention({ 1, 70, 71, 1, 64, 0, 0, false, true });
}

CASE(attention_to_quantized_cells_is_that_of_plain_arithmetic) {
    for (const ggml_type type : { GGML_TYPE_Q8_0, GGML_TYPE_Q4_0 }) {
        check_attention({ 1, 33, 4, 4, 64, 0, 0, false, false, type });
        check_attention({ 1, 1000, 9, 3, 64, 0, 0, false, false, type });
        check_attention({ 5, 300, 8, 2, 128, 0, 0, false, false, type });
        check_attention({ 33, 512, 9, 3, 64, 0, 0, false, false, type });
        check_attention({ 3, 100, 8, 8, 256, 0, 30, true, false, type });
        check_attention({ 3, 200, 8, 8, 96, 8, 0, false, false, type });
        check_attention({ 100, 300, 6, 2, 64, 0, 0, false, true, type });
        check_attention({ 9, 70, 4, 1, 32, 0, 0, false, true, type });
    }
}

// Neither numbers nor NaN and infinity in other agents' cells change a bit.
CASE(a_token_attends_alone_as_among_others) {
    for (const Shape & s :
         { Shape{ 20, 400, 9, 3, 64, 0, 0, false, false }, Shape{ 20, 400, 9, 3, 64, 0, 0, false, true },
           Shape{ 9, 200, 8, 8, 128, 0, 0, true, false }, Shape{ 9, 200, 8, 1, 128, 8, 0, false, false } }) {
        const Inputs all(s);
        const Matrix together = attended(s, all, 2);
        const auto   row      = static_cast<size_t>(s.heads * s.size);
        for (int64_t token = 0; token < s.tokens; token++) {
            Shape alone      = s;
            alone.tokens     = 1;
            Inputs     one   = all;
            const auto first = all.q.begin() + token * static_cast<int64_t>(row);
            one.q.assign(first, first + static_cast<int64_t>(row));
            one.mask.assign(all.mask.begin() + token * s.cells, all.mask.begin() + (token + 1) * s.cells);
            for (int64_t cell = 0; cell < s.cells; cell++) {
                if (one.mask[static_cast<size_t>(cell)] == -INFINITY) {
                    const int64_t width = s.shared_heads * s.size;
                    std::fill_n(one.k.begin() + cell * width, width, NAN);
                    std::fill_n(one.v.begin() + cell * width, width, INFINITY);
                }
            }
            const Matrix result = attended(alone, one, 2);
            CHECK(std::memcmp(result.data(), together.data() + static_cast<size_t>(token) * row, row * sizeof(float)) ==
                  0);
        }
    }
}
