// The perplexity of a model in other formats, with our kernels and with ggml's.
//
//   luup-perplexity MODEL TEXT FOLDER FORMAT…
//
// Writes the model into FOLDER in each format, named as in llama-quantize ("Q4_K_M"), and reads the text file with it,
// in windows of 512 tokens of which the second halves count. For each format a line comes out: its name, the number of
// tokens that count, the perplexity with our kernels and with ggml's, and the mean difference of the logarithms of a
// token's probability.
#include "ggml-backend.h"
#include "llama.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <numeric>
#include <string>
#include <vector>

namespace {

constexpr int32_t window = 512;

const std::map<std::string, llama_ftype> formats = {
    { "Q4_0", LLAMA_FTYPE_MOSTLY_Q4_0 },     { "Q4_1", LLAMA_FTYPE_MOSTLY_Q4_1 },
    { "Q5_0", LLAMA_FTYPE_MOSTLY_Q5_0 },     { "Q5_1", LLAMA_FTYPE_MOSTLY_Q5_1 },
    { "Q8_0", LLAMA_FTYPE_MOSTLY_Q8_0 },     { "Q2_K", LLAMA_FTYPE_MOSTLY_Q2_K },
    { "Q3_K_M", LLAMA_FTYPE_MOSTLY_Q3_K_M }, { "Q4_K_S", LLAMA_FTYPE_MOSTLY_Q4_K_S },
    { "Q4_K_M", LLAMA_FTYPE_MOSTLY_Q4_K_M }, { "Q5_K_S", LLAMA_FTYPE_MOSTLY_Q5_K_S },
    { "Q5_K_M", LLAMA_FTYPE_MOSTLY_Q5_K_M }, { "Q6_K", LLAMA_FTYPE_MOSTLY_Q6_K },
    { "IQ4_NL", LLAMA_FTYPE_MOSTLY_IQ4_NL }, { "IQ4_XS", LLAMA_FTYPE_MOSTLY_IQ4_XS },
    { "IQ3_S", LLAMA_FTYPE_MOSTLY_IQ3_S },   { "F16", LLAMA_FTYPE_MOSTLY_F16 },
    { "BF16", LLAMA_FTYPE_MOSTLY_BF16 },
};

void quiet(ggml_log_level, const char *, void *) {}

// Returns the negative logarithm of the probability of `token`.
double surprise(const float * logits, int32_t n, llama_token token) {
    const float most = *std::max_element(logits, logits + n);
    double      sum  = 0;
    for (int32_t i = 0; i < n; i++) {
        sum += std::exp(static_cast<double>(logits[i]) - most);
    }
    return std::log(sum) + most - logits[token];
}

struct Result {
    std::vector<double> surprises;  // of the tokens that count

    double perplexity() const {
        return std::exp(std::accumulate(surprises.begin(), surprises.end(), 0.0) /
                        static_cast<double>(surprises.size()));
    }
};

double mean_difference(const Result & a, const Result & b) {
    double sum = 0;
    for (size_t i = 0; i < a.surprises.size() && i < b.surprises.size(); i++) {
        sum += std::fabs(a.surprises[i] - b.surprises[i]);
    }
    return sum / static_cast<double>(a.surprises.size());
}

Result measure(const std::string & path, const std::string & text, bool ours) {
    llama_model_params load = llama_model_default_params();
    load.use_extra_bufts    = ours;
    llama_model * model     = llama_model_load_from_file(path.c_str(), load);
    Result        result;
    if (!model) {
        return result;
    }
    llama_context_params params = llama_context_default_params();
    params.n_ctx = params.n_batch = params.n_ubatch = window;
    params.n_threads = params.n_threads_batch = 1;
    llama_context *          context          = llama_init_from_model(model, params);
    const llama_vocab *      vocab            = llama_model_get_vocab(model);
    const int32_t            n_vocab          = llama_vocab_n_tokens(vocab);
    std::vector<llama_token> tokens(text.size() + 1);
    const int32_t            n = llama_tokenize(vocab, text.data(), static_cast<int32_t>(text.size()), tokens.data(),
                                                static_cast<int32_t>(tokens.size()), true, false);
    llama_batch              batch = llama_batch_init(window, 0, 1);
    for (int32_t begin = 0; context && begin + window <= n; begin += window) {
        llama_memory_clear(llama_get_memory(context), true);
        batch.n_tokens = window;
        for (int32_t i = 0; i < window; i++) {
            batch.token[i]     = tokens[static_cast<size_t>(begin + i)];
            batch.pos[i]       = i;
            batch.n_seq_id[i]  = 1;
            batch.seq_id[i][0] = 0;
            batch.logits[i]    = i >= window / 2 - 1;
        }
        if (llama_decode(context, batch) != 0) {
            std::fprintf(stderr, "llama_decode failed\n");
            break;
        }
        for (int32_t i = window / 2 - 1; i + 1 < window; i++) {
            result.surprises.push_back(surprise(llama_get_logits_ith(context, i), n_vocab, batch.token[i + 1]));
        }
    }
    llama_batch_free(batch);
    llama_free(context);
    llama_model_free(model);
    return result;
}

}  // namespace

int main(int argc, char ** argv) {
    if (argc < 5) {
        std::fprintf(stderr, "usage: luup-perplexity MODEL TEXT FOLDER FORMAT...\n");
        return 2;
    }
    llama_log_set(quiet, nullptr);
    ggml_backend_load_all();
    std::ifstream     file(argv[2], std::ios::binary);
    const std::string text{ std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>() };
    for (int i = 4; i < argc; i++) {
        const auto format = formats.find(argv[i]);
        if (format == formats.end()) {
            std::fprintf(stderr, "%s is not a format that this program knows\n", argv[i]);
            return 2;
        }
        const std::string           path = std::string(argv[3]) + "/" + argv[i] + ".gguf";
        llama_model_quantize_params how  = llama_model_quantize_default_params();
        how.ftype                        = format->second;
        how.allow_requantize             = true;
        how.nthread                      = 1;
        if (llama_model_quantize(argv[1], path.c_str(), &how) != 0) {
            std::fprintf(stderr, "%s can't be written as %s\n", argv[1], argv[i]);
            continue;
        }
        const Result ours = measure(path, text, true), theirs = measure(path, text, false);
        std::printf("%s %zu %.4f %.4f %.6f\n", argv[i], ours.surprises.size(), ours.perplexity(), theirs.perplexity(),
                    mean_difference(ours, theirs));
        std::fflush(stdout);
        std::remove(path.c_str());
    }
    return 0;
}
