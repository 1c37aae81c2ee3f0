// Products with the matrices of a mixture of experts, bit for bit those of each expert's matrix alone.
#include "backend.h"
#include "check.h"

#include <algorithm>
#include <array>
#include <set>

namespace {

struct Experts {
    int64_t           columns, rows, count;
    ggml_type         type;
    std::vector<char> bytes;  // of all matrices, in ggml's format

    size_t size() const { return ggml_row_size(type, columns) * static_cast<size_t>(rows); }
};

Experts random_experts(ggml_type type, int64_t columns, int64_t rows, int64_t count, std::mt19937 & random) {
    Experts                         experts{ columns, rows, count, type, {} };
    std::normal_distribution<float> normal;
    Matrix                          values(static_cast<size_t>(columns * rows * count));
    for (float & value : values) {
        value = normal(random);
    }
    experts.bytes.resize(experts.size() * static_cast<size_t>(count));
    ggml_quantize_chunk(type, values.data(), experts.bytes.data(), 0, rows * count, columns, nullptr);
    return experts;
}

// Computes the product that `build` adds to a graph, with weights and inputs that it names.
struct Computation {
    Owned<ggml_context>        weights_context = new_context(), context = new_context();
    Owned<ggml_backend>        backend;
    Owned<ggml_backend_buffer> weights_buffer, buffer;

    explicit Computation(int threads) : backend(new_backend(threads)) {}

    Matrix run(ggml_tensor * weights, const char * bytes, ggml_tensor * in, const Matrix & input, ggml_tensor * ids,
               const std::vector<int32_t> & chosen, ggml_tensor * out) {
        weights_buffer.reset(ggml_backend_alloc_ctx_tensors_from_buft(weights_context.get(), interleaved()));
        ggml_backend_tensor_set(weights, bytes, 0, ggml_nbytes(weights));
        CHECK(ggml_backend_supports_op(backend.get(), out));
        ggml_cgraph * graph = ggml_new_graph_custom(context.get(), 8, false);
        ggml_build_forward_expand(graph, out);
        buffer.reset(ggml_backend_alloc_ctx_tensors(context.get(), backend.get()));
        ggml_backend_tensor_set(in, input.data(), 0, ggml_nbytes(in));
        if (ids) {
            ggml_backend_tensor_set(ids, chosen.data(), 0, ggml_nbytes(ids));
        }
        CHECK(ggml_backend_graph_compute(backend.get(), graph) == GGML_STATUS_SUCCESS);
        Matrix result(static_cast<size_t>(ggml_nelements(out)));
        ggml_backend_tensor_get(out, result.data(), 0, ggml_nbytes(out));
        return result;
    }
};

Matrix by_experts(const Experts & experts, const Matrix & input, int64_t shared, const std::vector<int32_t> & chosen,
                  int64_t used, int64_t tokens, int threads) {
    Computation   c(threads);
    ggml_tensor * weights =
        ggml_new_tensor_3d(c.weights_context.get(), experts.type, experts.columns, experts.rows, experts.count);
    ggml_tensor * in  = ggml_new_tensor_3d(c.context.get(), GGML_TYPE_F32, experts.columns, shared, tokens);
    ggml_tensor * ids = ggml_new_tensor_2d(c.context.get(), GGML_TYPE_I32, used, tokens);
    return c.run(weights, experts.bytes.data(), in, input, ids, chosen,
                 ggml_mul_mat_id(c.context.get(), weights, in, ids));
}

Matrix by_one(const Experts & experts, int64_t expert, const Matrix & input, int64_t tokens) {
    Computation   c(1);
    ggml_tensor * weights = ggml_new_tensor_2d(c.weights_context.get(), experts.type, experts.columns, experts.rows);
    ggml_tensor * in      = ggml_new_tensor_2d(c.context.get(), GGML_TYPE_F32, experts.columns, tokens);
    return c.run(weights, experts.bytes.data() + static_cast<size_t>(expert) * experts.size(), in, input, nullptr, {},
                 ggml_mul_mat(c.context.get(), weights, in));
}

void check_type(ggml_type type) {
    std::mt19937 random(11);
    for (const auto & [columns, rows, count] :
         { std::array<int64_t, 3>{ 256, 48, 1 }, { 512, 32, 7 }, { 2048, 16, 3 }, { 256, 64, 64 } }) {
        const Experts experts = random_experts(type, columns, rows, count, random);
        for (const int64_t tokens : { 1, 2, 9, 40, 900 }) {
            const int64_t used = std::min<int64_t>(count, 1 + tokens % 4);
            // The experts of a token have an input in common, or one for each.
            for (const int64_t shared : std::set<int64_t>{ 1, used }) {
                std::normal_distribution<float> normal;
                Matrix                          input(static_cast<size_t>(columns * shared * tokens));
                for (float & value : input) {
                    value = normal(random);
                }
                std::vector<int32_t> chosen;
                for (int64_t token = 0; token < tokens; token++) {
                    const auto first = static_cast<int64_t>(random() % static_cast<uint32_t>(count));
                    for (int64_t i = 0; i < used; i++) {  // different ones, some of them for most tokens
                        chosen.push_back(static_cast<int32_t>(token % 3 ? i : (first + i) % count));
                    }
                }
                const Matrix result =
                    by_experts(experts, input, shared, chosen, used, tokens, 1 + static_cast<int>(tokens % 4));
                for (int64_t expert = 0; expert < count; expert++) {
                    const Matrix whole = by_one(experts, expert, input, shared * tokens);
                    for (size_t i = 0; i < chosen.size(); i++) {
                        const size_t token = i / static_cast<size_t>(used), slot = i % static_cast<size_t>(used);
                        const size_t row = token * static_cast<size_t>(shared) + slot % static_cast<size_t>(shared);
                        CHECK(chosen[i] != expert || std::memcmp(result.data() + i * static_cast<size_t>(rows),
                                                                 whole.data() + row * static_cast<size_t>(rows),
                                                                 static_cast<size_t>(rows) * sizeof(float)) == 0);
                    }
                }
            }
        }
    }
}

const bool registered = register_formats(__FILE__, check_type);

}  // namespace

// Only experts have several matrices: others are left to ggml.
CASE(refuses_several_matrices_without_experts) {
    Owned<ggml_backend>        backend = new_backend(1);
    const auto                 context = new_context();
    Owned<ggml_backend_buffer> buffer(ggml_backend_buft_alloc_buffer(interleaved(), 0));
    ggml_tensor *              weights = ggml_new_tensor_3d(context.get(), GGML_TYPE_Q4_1, 64, 32, 4);
    ggml_tensor *              in      = ggml_new_tensor_3d(context.get(), GGML_TYPE_F32, 64, 3, 4);
    ggml_tensor *              ids     = ggml_new_tensor_2d(context.get(), GGML_TYPE_I32, 3, 4);
    weights->buffer                    = buffer.get();
    CHECK(!ggml_backend_supports_op(backend.get(), ggml_mul_mat(context.get(), weights, in)));
    CHECK(ggml_backend_supports_op(backend.get(), ggml_mul_mat_id(context.get(), weights, in, ids)));
}
