// Products of matrices against plain arithmetic.
#include "backend.h"
#include "check.h"

#include <algorithm>
#include <cmath>

namespace {

constexpr int64_t block = 32;  // activations that share a scale

// Weights of one type, in the memory of the kernels, and their values after quantization.
struct Weights {
    Owned<ggml_context>        context = new_context();
    ggml_tensor *              tensor;
    Owned<ggml_backend_buffer> buffer;
    Matrix                     values;

    Weights(ggml_type type, int64_t columns, int64_t rows, std::mt19937 & random)
        : tensor(ggml_new_tensor_2d(context.get(), type, columns, rows)), values(static_cast<size_t>(columns * rows)) {
        std::normal_distribution<float> normal;
        for (size_t i = 0; i < values.size(); i++) {
            values[i] = normal(random) + (i / 7 % 3 == 0 ? 2.0f : 0.0f); // not around zero alone
        }
        std::vector<char> bytes(ggml_row_size(type, columns) * static_cast<size_t>(rows));
        ggml_quantize_chunk(type, values.data(), bytes.data(), 0, rows, columns, nullptr);
        ggml_get_type_traits(type)->to_float(bytes.data(), values.data(), columns * rows);
        buffer.reset(ggml_backend_alloc_ctx_tensors_from_buft(context.get(), interleaved()));
        ggml_backend_tensor_set(tensor, bytes.data(), 0, bytes.size());
    }
};

// Returns the products of the weights and `input` by our kernels: a column for each token.
Matrix product(const Weights & weights, const Matrix & input, int threads) {
    const int64_t       columns = weights.tensor->ne[0], rows = weights.tensor->ne[1],
                        tokens  = static_cast<int64_t>(input.size()) / columns;
    Owned<ggml_backend> backend = new_backend(threads);
    const auto          context = new_context();
    ggml_tensor *       in      = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, columns, tokens);
    ggml_tensor *       out     = ggml_mul_mat(context.get(), weights.tensor, in);
    CHECK(ggml_backend_supports_op(backend.get(), out));
    ggml_cgraph * graph = ggml_new_graph_custom(context.get(), 8, false);
    ggml_build_forward_expand(graph, out);
    Owned<ggml_backend_buffer> buffer(ggml_backend_alloc_ctx_tensors(context.get(), backend.get()));
    ggml_backend_tensor_set(in, input.data(), 0, input.size() * sizeof(float));
    CHECK(ggml_backend_graph_compute(backend.get(), graph) == GGML_STATUS_SUCCESS);
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
            result[k] = std::nearbyint(input[k] * (32767.0f / largest)) * (largest / 32767.0f);
        }
    }
    return result;
}

Matrix random_input(int64_t columns, int64_t tokens, std::mt19937 & random) {
    std::normal_distribution<float> normal;
    Matrix                          input(static_cast<size_t>(columns * tokens));
    for (size_t i = 0; i < input.size(); i++) {
        const size_t group = i / block;
        const float  size  = group % 11 == 3   ? 0.0f
                             : group % 5 == 0  ? 1000.0f
                             : group % 7 == 0  ? 1e-6f
                             : group % 13 == 5 ? 1e-38f
                                               : 1.0f;
        input[i]           = normal(random) * size;
    }
    return input;
}

bool has_kernel(ggml_type type, int64_t columns, int64_t rows, ggml_type of_input) {
    Owned<ggml_backend> backend(ggml_backend_dev_init(ggml_backend_reg_dev_get(module, 0), nullptr));
    const auto          context = new_context();
    ggml_tensor *       weights = ggml_new_tensor_2d(context.get(), type, columns, rows);
    ggml_tensor * out = ggml_mul_mat(context.get(), weights, ggml_new_tensor_2d(context.get(), of_input, columns, 4));
    Owned<ggml_backend_buffer> buffer(ggml_backend_buft_alloc_buffer(interleaved(), 0));
    weights->buffer = buffer.get();
    return ggml_backend_supports_op(backend.get(), out);
}

void check_type(ggml_type type) {
    CHECK(has_kernel(type, 256, 32, GGML_TYPE_F32));
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
        const Matrix  input = random_input(columns, 400, random);
        const Matrix  seen  = rounded(input);
        Matrix        whole;
        for (const int64_t tokens : { 400, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 37, 45 }) {
            const auto   end    = static_cast<size_t>(tokens * columns);
            const Matrix result = product(weights, Matrix(input.begin(), input.begin() + static_cast<long>(end)),
                                          1 + static_cast<int>(tokens % 4));
            if (whole.empty()) {
                whole = result;
                for (int64_t token = 0; token < tokens; token += 23) {
                    for (int64_t row = 0; row < rows; row += rows > 1000 ? 97 : 1) {
                        double sum = 0, size = 0;
                        for (int64_t k = 0; k < columns; k++) {
                            const double term = double(weights.values[static_cast<size_t>(row * columns + k)]) *
                                                seen[static_cast<size_t>(token * columns + k)];
                            sum += term;
                            size += std::fabs(term);
                        }
                        CHECK(std::fabs(sum - result[static_cast<size_t>(token * rows + row)]) <= 2e-5 * size);
                    }
                }
            }
            // Neither who else is in the batch nor the number of threads changes a
            // bit.
            CHECK(std::memcmp(result.data(), whole.data(), result.size() * sizeof(float)) == 0);
        }
    }
}

const bool registered = register_formats(__FILE__, check_type);

}  // namespace

// Shapes and types without a kernel are left to ggml.
CASE(refuses_what_it_has_no_kernel_for) {
    CHECK(has_kernel(GGML_TYPE_Q4_1, 64, 32, GGML_TYPE_F32));
    CHECK(!has_kernel(GGML_TYPE_Q4_1, 64, 33, GGML_TYPE_F32));
    CHECK(!has_kernel(GGML_TYPE_Q4_1, 64, 32, GGML_TYPE_F16));
    CHECK(!has_kernel(GGML_TYPE_Q3_K, 256, 32, GGML_TYPE_F32));
    CHECK(!has_kernel(GGML_TYPE_F16, 64, 32, GGML_TYPE_F32));
}

// Several products with the same activations are computed together, also with a view between them.
CASE(computes_products_of_the_same_activations_together) {
    std::mt19937                          random(11);
    constexpr int64_t                     columns = 576;
    std::vector<std::unique_ptr<Weights>> weights;
    for (const auto & [type, rows] : { std::pair<ggml_type, int64_t>{ GGML_TYPE_Q4_1, 192 },
                                       { GGML_TYPE_Q8_0, 48 },
                                       { GGML_TYPE_Q4_1, 1536 },
                                       { GGML_TYPE_Q5_0, 16 },
                                       { GGML_TYPE_Q4_1, 32 } }) {
        weights.push_back(std::make_unique<Weights>(type, columns, rows, random));
    }
    for (const int64_t tokens : { 1, 9, 16, 70 }) {
        for (const int threads : { 1, 2, 3 }) {
            const Matrix               input   = random_input(columns, tokens, random);
            Owned<ggml_backend>        backend = new_backend(threads);
            const auto                 context = new_context();
            ggml_tensor *              in      = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, columns, tokens);
            ggml_cgraph *              graph   = ggml_new_graph_custom(context.get(), 16, false);
            std::vector<ggml_tensor *> products;
            for (const auto & of : weights) {
                products.push_back(ggml_mul_mat(context.get(), of->tensor, in));
                ggml_build_forward_expand(graph, ggml_transpose(context.get(), products.back()));
            }
            Owned<ggml_backend_buffer> buffer(ggml_backend_alloc_ctx_tensors(context.get(), backend.get()));
            ggml_backend_tensor_set(in, input.data(), 0, input.size() * sizeof(float));
            CHECK(ggml_backend_graph_compute(backend.get(), graph) == GGML_STATUS_SUCCESS);
            for (size_t i = 0; i < products.size(); i++) {
                const Matrix expected = product(*weights[i], input, 2);
                Matrix       result(expected.size());
                ggml_backend_tensor_get(products[i], result.data(), 0, result.size() * sizeof(float));
                CHECK(std::memcmp(result.data(), expected.data(), result.size() * sizeof(float)) == 0);
            }
        }
    }
}
