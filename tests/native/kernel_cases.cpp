// Our kernels against plain arithmetic, in the CPU variant whose module
// is given. Prints "unsupported" if this CPU can't run it.
#include "check.h"

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>

namespace {

using Extra  = ggml_backend_buffer_type_t * (*)(ggml_backend_dev_t);
using Matrix = std::vector<float>;

constexpr int64_t block = 32;  // of activations that share a scale

ggml_backend_reg_t module = nullptr;

ggml_backend_buffer_type_t interleaved() {
    const auto list = reinterpret_cast<Extra>(ggml_backend_reg_get_proc_address(
        module, "ggml_backend_dev_get_extra_bufts"));
    for (auto * type = list(ggml_backend_reg_dev_get(module, 0)); *type; type++) {
        if (std::strcmp(ggml_backend_buft_name(*type), "CPU_INTERLEAVED") == 0) {
            return *type;
        }
    }
    return nullptr;
}

struct Freed {
    void operator()(ggml_context * context) const { ggml_free(context); }
    void operator()(ggml_backend * backend) const { ggml_backend_free(backend); }
    void operator()(ggml_backend_buffer * buffer) const {
        ggml_backend_buffer_free(buffer);
    }
};
template <class T>
using Owned = std::unique_ptr<T, Freed>;

Owned<ggml_context> new_context() {
    return Owned<ggml_context>(ggml_init({ 1 << 16, nullptr, true }));
}

Owned<ggml_backend> new_backend(int threads) {
    Owned<ggml_backend> backend(ggml_backend_dev_init(ggml_backend_reg_dev_get(module, 0), nullptr));
    const auto          set = ggml_backend_reg_get_proc_address(module, "ggml_backend_set_n_threads");
    reinterpret_cast<ggml_backend_set_n_threads_t>(set)(backend.get(), threads);
    return backend;
}

// Weights of one type, in the memory of the kernels, and what they are worth.
struct Weights {
    Owned<ggml_context>        context = new_context();
    ggml_tensor *              tensor;
    Owned<ggml_backend_buffer> buffer;
    Matrix                     values;

    Weights(ggml_type type, int64_t columns, int64_t rows, std::mt19937 & random)
        : tensor(ggml_new_tensor_2d(context.get(), type, columns, rows)),
          values(static_cast<size_t>(columns * rows)) {
        std::normal_distribution<float> normal;
        for (size_t i = 0; i < values.size(); i++) {
            values[i] = normal(random) +
                        (i / 7 % 3 == 0 ? 2.0f : 0.0f); // not around zero alone
        }
        std::vector<char> bytes(ggml_row_size(type, columns) *
                                static_cast<size_t>(rows));
        ggml_quantize_chunk(type, values.data(), bytes.data(), 0, rows, columns,
                            nullptr);
        ggml_get_type_traits(type)->to_float(bytes.data(), values.data(),
                                             columns * rows);
        buffer.reset(
            ggml_backend_alloc_ctx_tensors_from_buft(context.get(), interleaved()));
        ggml_backend_tensor_set(tensor, bytes.data(), 0, bytes.size());
    }
};

// What the kernels make of the weights and `input`: `tokens` columns of
// products.
Matrix product(const Weights & weights, const Matrix & input, int threads) {
    const int64_t       columns = weights.tensor->ne[0], rows = weights.tensor->ne[1],
                        tokens  = static_cast<int64_t>(input.size()) / columns;
    Owned<ggml_backend> backend = new_backend(threads);
    const auto          context = new_context();
    ggml_tensor *       in =
        ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, columns, tokens);
    ggml_tensor * out = ggml_mul_mat(context.get(), weights.tensor, in);
    CHECK(ggml_backend_supports_op(backend.get(), out));
    ggml_cgraph * graph = ggml_new_graph_custom(context.get(), 8, false);
    ggml_build_forward_expand(graph, out);
    Owned<ggml_backend_buffer> buffer(
        ggml_backend_alloc_ctx_tensors(context.get(), backend.get()));
    ggml_backend_tensor_set(in, input.data(), 0, input.size() * sizeof(float));
    CHECK(ggml_backend_graph_compute(backend.get(), graph) ==
          GGML_STATUS_SUCCESS);
    Matrix result(static_cast<size_t>(rows * tokens));
    ggml_backend_tensor_get(out, result.data(), 0, result.size() * sizeof(float));
    return result;
}

// Activations as the kernels see them, in 32,767 steps.
Matrix rounded(const Matrix & input) {
    Matrix result(input.size());
    for (size_t i = 0; i < input.size(); i += block) {
        float largest = 0;
        for (size_t k = i; k < i + block; k++) {
            largest = std::max(largest, std::fabs(input[k]));
        }
        for (size_t k = i; k < i + block && largest > 1e-30f; k++) {
            result[k] =
                std::nearbyint(input[k] * (32767.0f / largest)) * (largest / 32767.0f);
        }
    }
    return result;
}

Matrix random_input(int64_t columns, int64_t tokens, std::mt19937 & random) {
    std::normal_distribution<float> normal;
    Matrix                          input(static_cast<size_t>(columns * tokens));
    for (size_t i = 0; i < input.size(); i++) {
        const size_t group = i / block;
        const float  size  = group % 11 == 3 ? 0.0f : group % 5 == 0 ? 1000.0f
                                                  : group % 7 == 0   ? 1e-6f
                                                  : group % 13 == 5  ? 1e-38f
                                                                     : 1.0f;
        input[i]           = normal(random) * size;
    }
    return input;
}

void check_type(ggml_type type) {
    std::mt19937 random(7);
    for (const auto & [columns, rows] : { std::pair<int64_t, int64_t>{ 32, 16 },
                                          { 576, 192 },
                                          { 1536, 48 },
                                          { 256, 4096 },
                                          { 8192, 16 },
                                          { 96, 49152 / 8 } }) {
        if (columns % ggml_blck_size(type) != 0) {
            continue;
        }
        const Weights weights(type, columns, rows, random);
        const Matrix  input = random_input(columns, 300, random);
        const Matrix  seen  = rounded(input);
        Matrix        whole;
        for (const int64_t tokens : { 300, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 37 }) {
            const auto   end = static_cast<size_t>(tokens * columns);
            const Matrix result =
                product(weights,
                        Matrix(input.begin(), input.begin() + static_cast<long>(end)),
                        1 + static_cast<int>(tokens % 4));
            if (whole.empty()) {
                whole = result;
                for (int64_t token = 0; token < tokens; token += 23) {
                    for (int64_t row = 0; row < rows; row += rows > 1000 ? 97 : 1) {
                        double sum = 0, size = 0;
                        for (int64_t k = 0; k < columns; k++) {
                            const double term =
                                double(
                                    weights.values[static_cast<size_t>(row * columns + k)]) *
                                seen[static_cast<size_t>(token * columns + k)];
                            sum += term;
                            size += std::fabs(term);
                        }
                        CHECK(std::fabs(sum -
                                        result[static_cast<size_t>(token * rows + row)]) <=
                              2e-5 * size);
                    }
                }
            }
            // Neither who else is in the batch nor the number of threads changes a
            // bit.
            CHECK(std::memcmp(result.data(), whole.data(),
                              result.size() * sizeof(float)) == 0);
        }
    }
}

struct Shape {
    int64_t tokens, cells, heads, shared_heads, size;
    float   max_bias, softcap;
    bool    sinks;
    bool    causal;
};

// What a token sees of the cells: a prompt that all have, and of the others most are another agent's. Or all up to its own.
bool sees(const Shape & s, int64_t token, int64_t cell) {
    return s.causal ? cell <= s.cells - s.tokens + token : cell < s.cells / 2 || cell / 5 % 7 == token % 7;
}

float half(float x) {
    return ggml_fp16_to_fp32(ggml_fp32_to_fp16(x));
}

struct Inputs {
    Matrix q, k, v, mask, sinks;

    explicit Inputs(const Shape & s) {
        std::mt19937                    random(11);
        std::normal_distribution<float> normal;
        const auto                      numbers = [&](int64_t n, bool halves) {
            Matrix result(static_cast<size_t>(n));
            for (float & x : result) {
                x = halves ? half(normal(random)) : normal(random);
            }
            return result;
        };
        q     = numbers(s.size * s.heads * s.tokens, false);
        k     = numbers(s.size * s.shared_heads * s.cells, true);
        v     = numbers(s.size * s.shared_heads * s.cells, true);
        sinks = numbers(s.heads, false);
        mask.resize(static_cast<size_t>(s.cells * s.tokens));
        for (int64_t token = 0; token < s.tokens; token++) {
            for (int64_t cell = 0; cell < s.cells; cell++) {
                // From the 31st on tokens see nothing; with ALiBi what is seen has a distance.
                const float distance                              = s.max_bias > 0 ? -static_cast<float>(cell % 100) : 0.0f;
                mask[static_cast<size_t>(token * s.cells + cell)] = sees(s, token, cell) && (s.causal || token < 30) ? distance : -INFINITY;
            }
        }
    }
};

Matrix attended(const Shape & s, const Inputs & inputs, int threads) {
    Owned<ggml_backend> backend = new_backend(threads);
    const auto          context = new_context();
    // As in a KV cache: the heads of a cell, or of a token, side by side.
    ggml_tensor * of_q  = ggml_new_tensor_3d(context.get(), GGML_TYPE_F32, s.size, s.heads, s.tokens);
    ggml_tensor * of_k  = ggml_new_tensor_3d(context.get(), GGML_TYPE_F16, s.size, s.shared_heads, s.cells);
    ggml_tensor * of_v  = ggml_new_tensor_3d(context.get(), GGML_TYPE_F16, s.size, s.shared_heads, s.cells);
    ggml_tensor * of_m  = ggml_new_tensor_2d(context.get(), GGML_TYPE_F16, s.cells, s.tokens);
    ggml_tensor * of_s  = ggml_new_tensor_1d(context.get(), GGML_TYPE_F32, s.heads);
    const auto    turn  = [&](ggml_tensor * t) { return ggml_permute(context.get(), t, 0, 2, 1, 3); };
    const float   scale = 1.0f / std::sqrt(static_cast<float>(s.size));
    ggml_tensor * out   = ggml_flash_attn_ext(context.get(), turn(of_q), turn(of_k), turn(of_v), of_m, scale, s.max_bias, s.softcap);
    if (s.sinks) {
        ggml_flash_attn_ext_add_sinks(out, of_s);
    }
    ggml_cgraph * graph = ggml_new_graph_custom(context.get(), 16, false);
    ggml_build_forward_expand(graph, out);
    Owned<ggml_backend_buffer> buffer(ggml_backend_alloc_ctx_tensors(context.get(), backend.get()));
    const auto                 set_halves = [](ggml_tensor * tensor, const Matrix & values) {
        std::vector<ggml_fp16_t> halves(values.size());
        ggml_fp32_to_fp16_row(values.data(), halves.data(), static_cast<int64_t>(values.size()));
        ggml_backend_tensor_set(tensor, halves.data(), 0, halves.size() * 2);
    };
    ggml_backend_tensor_set(of_q, inputs.q.data(), 0, inputs.q.size() * sizeof(float));
    set_halves(of_k, inputs.k);
    set_halves(of_v, inputs.v);
    set_halves(of_m, inputs.mask);
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
            const double        slope = s.max_bias > 0 ? std::exp2(-s.max_bias * double(head + 1) / double(s.heads)) : 1.0;
            std::vector<double> sums(static_cast<size_t>(s.size));
            double              weights = s.sinks && token < 30 ? std::exp(double(inputs.sinks[static_cast<size_t>(head)])) : 0.0;
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
                    sums[static_cast<size_t>(i)] += weight * inputs.v[static_cast<size_t>((cell * s.shared_heads + shared) * s.size + i)];
                }
            }
            for (int64_t i = 0; i < s.size; i++) {
                const double expected = weights > 0 ? sums[static_cast<size_t>(i)] / weights : 0.0;
                CHECK(std::fabs(expected - result[static_cast<size_t>((token * s.heads + head) * s.size + i)]) < 2e-5);
            }
        }
    }
}

void attention_is_that_of_plain_arithmetic() {
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

// And is not touched by what other agents' cells hold, not even by what is no number.
void a_token_attends_alone_as_among_others() {
    for (const Shape & s : { Shape{ 20, 400, 9, 3, 64, 0, 0, false, false }, Shape{ 20, 400, 9, 3, 64, 0, 0, false, true },
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
            CHECK(std::memcmp(result.data(), together.data() + static_cast<size_t>(token) * row, row * sizeof(float)) == 0);
        }
    }
}

bool has_kernel(ggml_type type, int64_t columns, int64_t rows,
                ggml_type of_input) {
    Owned<ggml_backend> backend(
        ggml_backend_dev_init(ggml_backend_reg_dev_get(module, 0), nullptr));
    const auto    context = new_context();
    ggml_tensor * weights = ggml_new_tensor_2d(context.get(), type, columns, rows);
    ggml_tensor * out =
        ggml_mul_mat(context.get(), weights,
                     ggml_new_tensor_2d(context.get(), of_input, columns, 4));
    Owned<ggml_backend_buffer> buffer(
        ggml_backend_buft_alloc_buffer(interleaved(), 0));
    weights->buffer = buffer.get();
    return ggml_backend_supports_op(backend.get(), out);
}

// Shapes and types without a kernel are left to ggml.
void refuses_what_it_has_no_kernel_for() {
    CHECK(has_kernel(GGML_TYPE_Q4_1, 64, 32, GGML_TYPE_F32));
    CHECK(!has_kernel(GGML_TYPE_Q4_1, 64, 33, GGML_TYPE_F32));
    CHECK(!has_kernel(GGML_TYPE_Q4_1, 64, 32, GGML_TYPE_F16));
    CHECK(!has_kernel(GGML_TYPE_Q3_K, 256, 32, GGML_TYPE_F32));
    CHECK(!has_kernel(GGML_TYPE_F16, 64, 32, GGML_TYPE_F32));
}

} // namespace

int main(int argc, char ** argv) {
    module = argc > 1 ? ggml_backend_load(argv[1]) : nullptr;
    if (!module) {
        std::printf("unsupported\n");
        return 0;
    }
    CHECK(interleaved());
    std::vector<std::pair<const char *, std::function<void()>>> cases = {
        { "refuses_what_it_has_no_kernel_for", refuses_what_it_has_no_kernel_for },
        { "attention_is_that_of_plain_arithmetic", attention_is_that_of_plain_arithmetic },
        { "a_token_attends_alone_as_among_others", a_token_attends_alone_as_among_others }
    };
    for (const ggml_type type :
         { GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q5_1,
           GGML_TYPE_Q8_0, GGML_TYPE_Q4_K, GGML_TYPE_Q5_K, GGML_TYPE_Q6_K }) {
        if (has_kernel(type, 256, 32, GGML_TYPE_F32)) {
            cases.emplace_back(ggml_type_name(type), [type] { check_type(type); });
        }
    }
    return run_cases(cases);
}
