// The time of products with weights of each format: our kernels against ggml's, in one CPU variant.
//   luup-kernel-bench --module FILE [--type NAME]… [--tokens N]… [--experts N] [--columns N] [--rows N] [--rounds N]
// Prints a line for each format and number of tokens, with tabs between: format, tokens, 1 if the format has kernels of
// ours, the median of the GMAC/s of ggml's kernels and of ours, and the median of the ratios of both in each round. The
// two take turns in one thread, and its CPU time counts, so that other processes change the ratios little. Few tokens
// are multiplied with 64 MiB of weights, so that these come from memory. With --experts, the products are those of a
// mixture of experts, four per token. Prints "unsupported" and ends with 0 if this CPU can't run the variant.
#include "kernels/backend.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <string>

namespace {

constexpr int64_t used_experts  = 4;
constexpr size_t  weights_bytes = 64u << 20;

// The types that llama.cpp quantizes to.
const std::vector<ggml_type> all_types = {
    GGML_TYPE_Q4_0,  GGML_TYPE_Q4_1,    GGML_TYPE_Q5_0,  GGML_TYPE_Q5_1,   GGML_TYPE_Q8_0,    GGML_TYPE_Q2_K,
    GGML_TYPE_Q3_K,  GGML_TYPE_Q4_K,    GGML_TYPE_Q5_K,  GGML_TYPE_Q6_K,   GGML_TYPE_IQ4_NL,  GGML_TYPE_IQ4_XS,
    GGML_TYPE_IQ3_S, GGML_TYPE_IQ3_XXS, GGML_TYPE_IQ2_S, GGML_TYPE_IQ2_XS, GGML_TYPE_IQ2_XXS, GGML_TYPE_IQ1_S,
    GGML_TYPE_IQ1_M, GGML_TYPE_TQ1_0,   GGML_TYPE_TQ2_0, GGML_TYPE_Q1_0,   GGML_TYPE_MXFP4,   GGML_TYPE_NVFP4,
    GGML_TYPE_F16,   GGML_TYPE_BF16,
};

struct Shape {
    int64_t columns = 2048, rows = 2048, experts = 0;
};

// Returns the bytes of random weights. A few rows are quantized and repeated, since that takes some types long.
std::vector<char> random_weights(ggml_type type, const Shape & shape) {
    constexpr int64_t               different = 16;
    std::mt19937                    random(7);
    std::normal_distribution<float> normal(0.0f, 0.05f);
    Matrix                          values(static_cast<size_t>(shape.columns * different));
    std::generate(values.begin(), values.end(), [&] { return normal(random); });
    const Matrix      importance(static_cast<size_t>(shape.columns), 1.0f);
    const size_t      part = ggml_row_size(type, shape.columns) * different;
    std::vector<char> bytes(part * static_cast<size_t>(shape.rows * std::max<int64_t>(1, shape.experts) / different));
    ggml_quantize_chunk(type, values.data(), bytes.data(), 0, different, shape.columns, importance.data());
    for (size_t at = part; at < bytes.size(); at += part) {
        std::copy_n(bytes.begin(), part, bytes.begin() + static_cast<long>(at));
    }
    return bytes;
}

ggml_tensor * new_product(ggml_context * context, ggml_tensor * weights, int64_t tokens, const Shape & shape) {
    if (shape.experts == 0) {
        return ggml_mul_mat(context, weights, ggml_new_tensor_2d(context, GGML_TYPE_F32, shape.columns, tokens));
    }
    return ggml_mul_mat_id(context, weights, ggml_new_tensor_3d(context, GGML_TYPE_F32, shape.columns, 1, tokens),
                           ggml_new_tensor_2d(context, GGML_TYPE_I32, used_experts, tokens));
}

ggml_tensor * new_weights(ggml_context * context, ggml_type type, const Shape & shape) {
    return shape.experts == 0 ? ggml_new_tensor_2d(context, type, shape.columns, shape.rows)
                              : ggml_new_tensor_3d(context, type, shape.columns, shape.rows, shape.experts);
}

// Returns the memory that llama.cpp chooses for such weights, with or without ours.
ggml_backend_buffer_type_t chosen(ggml_type type, const Shape & shape, bool with_ours) {
    const ggml_backend_dev_t device = ggml_backend_reg_dev_get(module, 0);
    const auto               list =
        reinterpret_cast<Extra>(ggml_backend_reg_get_proc_address(module, "ggml_backend_dev_get_extra_bufts"));
    for (auto * buffers = list(device); *buffers; buffers++) {
        if (!with_ours && *buffers == interleaved()) {
            continue;
        }
        const auto                 context = new_context();
        ggml_tensor *              weights = new_weights(context.get(), type, shape);
        ggml_tensor *              product = new_product(context.get(), weights, 512, shape);
        Owned<ggml_backend_buffer> buffer(ggml_backend_buft_alloc_buffer(*buffers, 0));
        weights->buffer      = buffer.get();
        const bool supported = ggml_backend_dev_supports_op(device, product);
        weights->buffer      = nullptr;
        if (supported) {
            return *buffers;
        }
    }
    return ggml_backend_dev_buffer_type(device);
}

// Products of the same activations with several matrices of weights.
class Products {
  public:
    Products(ggml_type type, const Shape & shape, ggml_backend_buffer_type_t memory) : m_type(type), m_shape(shape) {
        const std::vector<char> bytes = random_weights(type, shape);
        const size_t            count = std::max<size_t>(1, weights_bytes / bytes.size());
        for (size_t i = 0; i < count; i++) {
            m_weights.push_back(new_weights(m_context.get(), type, shape));
        }
        m_memory.reset(ggml_backend_alloc_ctx_tensors_from_buft(m_context.get(), memory));
        for (ggml_tensor * weights : m_weights) {
            ggml_backend_tensor_set(weights, bytes.data(), 0, bytes.size());
        }
    }

    // Returns the GMAC/s of one pass.
    double rate(int64_t tokens) {
        Pass &             pass  = prepared(tokens);
        const std::clock_t begin = std::clock();
        if (ggml_backend_graph_compute(m_backend.get(), pass.graph) != GGML_STATUS_SUCCESS) {
            std::exit(1);
        }
        const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
        return pass.work / std::max(seconds, 1e-6) * 1e-9;
    }

  private:
    struct Pass {
        Owned<ggml_context>        context = new_context();
        Owned<ggml_backend_buffer> memory;
        ggml_cgraph *              graph = nullptr;
        double                     work  = 0;
    };

    Pass & prepared(int64_t tokens) {
        Pass & pass = m_passes[tokens];
        if (pass.graph) {
            return pass;
        }
        pass.graph = ggml_new_graph_custom(pass.context.get(), 4 * m_weights.size() + 8, false);
        // A prompt takes long enough with one matrix or two.
        const size_t count = tokens <= 16 ? m_weights.size() : std::min<size_t>(2, m_weights.size());
        for (size_t i = 0; i < count; i++) {
            ggml_build_forward_expand(pass.graph, new_product(pass.context.get(), m_weights[i], tokens, m_shape));
        }
        pass.memory.reset(ggml_backend_alloc_ctx_tensors(pass.context.get(), m_backend.get()));
        std::mt19937                    random(5);
        std::normal_distribution<float> normal;
        for (ggml_tensor * t = ggml_get_first_tensor(pass.context.get()); t;
             t               = ggml_get_next_tensor(pass.context.get(), t)) {
            if (t->op != GGML_OP_NONE) {
                continue;
            }
            if (t->type == GGML_TYPE_I32) {
                std::vector<int32_t> experts(static_cast<size_t>(ggml_nelements(t)));
                for (size_t i = 0; i < experts.size(); i++) {
                    const size_t token = i / used_experts, slot = i % used_experts;
                    experts[i] =
                        static_cast<int32_t>((token * 7 + slot * 5 + token / 3) % static_cast<size_t>(m_shape.experts));
                }
                ggml_backend_tensor_set(t, experts.data(), 0, ggml_nbytes(t));
            } else {
                Matrix values(static_cast<size_t>(ggml_nelements(t)));
                std::generate(values.begin(), values.end(), [&] { return normal(random); });
                ggml_backend_tensor_set(t, values.data(), 0, ggml_nbytes(t));
            }
        }
        pass.work = static_cast<double>(count) * static_cast<double>(m_shape.columns * m_shape.rows * tokens) *
                    (m_shape.experts > 0 ? used_experts : 1);
        return pass;
    }

    ggml_type                  m_type;
    Shape                      m_shape;
    Owned<ggml_context>        m_context = Owned<ggml_context>(ggml_init({ 1 << 20, nullptr, true }));
    Owned<ggml_backend>        m_backend = new_backend(1);
    Owned<ggml_backend_buffer> m_memory;
    std::vector<ggml_tensor *> m_weights;
    std::map<int64_t, Pass>    m_passes;
};

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const size_t half = values.size() / 2;
    return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

void measure(ggml_type type, const Shape & shape, const std::vector<int64_t> & all_tokens, int rounds) {
    const ggml_backend_buffer_type_t of_ggml = chosen(type, shape, false), of_ours = chosen(type, shape, true);
    const bool                       has_ours = of_ours == interleaved();
    Products                         theirs(type, shape, of_ggml);
    std::unique_ptr<Products>        ours(has_ours ? new Products(type, shape, of_ours) : nullptr);
    for (const int64_t tokens : all_tokens) {
        std::vector<double> of_theirs, of_us, ratios;
        for (int round = 0; round <= rounds; round++) {
            const double their_rate = theirs.rate(tokens), our_rate = ours ? ours->rate(tokens) : their_rate;
            if (round > 0) {  // the first warms up
                of_theirs.push_back(their_rate);
                of_us.push_back(our_rate);
                ratios.push_back(our_rate / their_rate);
            }
        }
        std::printf("%s\t%lld\t%d\t%.2f\t%.2f\t%.3f\n", ggml_type_name(type), static_cast<long long>(tokens), has_ours,
                    median(of_theirs), median(of_us), median(ratios));
        std::fflush(stdout);
    }
}

}  // namespace

int main(int argc, char ** argv) {
    std::map<std::string, std::vector<std::string>> options;
    for (int i = 1; i + 1 < argc; i += 2) {
        options[argv[i]].push_back(argv[i + 1]);
    }
    const auto number = [&](const char * name, int64_t other) {
        return options[name].empty() ? other : std::strtoll(options[name].back().c_str(), nullptr, 10);
    };
    for (const std::string & path : options["--module"]) {
        module = ggml_backend_load(path.c_str());
    }
    if (options["--module"].empty()) {
        std::fprintf(stderr, "--module FILE names the library of the CPU variant to measure\n");
        return 2;
    }
    if (!module) {
        std::printf("unsupported\n");
        return 0;
    }
    std::vector<int64_t> tokens;
    for (const std::string & count : options["--tokens"]) {
        tokens.push_back(std::strtoll(count.c_str(), nullptr, 10));
    }
    if (tokens.empty()) {
        tokens = { 1, 4, 16, 512 };
    }
    const Shape shape = { number("--columns", 2048), number("--rows", 2048), number("--experts", 0) };
    for (const ggml_type type : all_types) {
        const auto & wanted = options["--type"];
        if (wanted.empty() || std::find(wanted.begin(), wanted.end(), ggml_type_name(type)) != wanted.end()) {
            measure(type, shape, tokens, static_cast<int>(number("--rounds", 5)));
        }
    }
    return 0;
}
