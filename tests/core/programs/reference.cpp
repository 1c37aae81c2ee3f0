// Greedy decoding with llama.h alone: what the engine's answers are compared with, token for token.
//
//   luup-reference MODEL N THREADS [CACHE_TYPE_K CACHE_TYPE_V [ROPE_SCALING ROPE_SCALE]] < tokens
//
// Each line of standard input is a prompt: token ids, separated by spaces. For each, a line comes out with up to N
// groups "token logit second_token second_logit": the greedy choice and the runner-up, until an end-of-generation
// token. The other arguments mean the same as those of llama.cpp's programs.
#include "ggml-backend.h"
#include "llama.h"

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

static ggml_type type_of(const std::string & name) {
    for (int type = 0; type < GGML_TYPE_COUNT; type++) {
        const char * known = ggml_type_name(static_cast<ggml_type>(type));
        if (known && name == known) {
            return static_cast<ggml_type>(type);
        }
    }
    std::fprintf(stderr, "there is no type %s\n", name.c_str());
    std::exit(2);
}

int main(int argc, char ** argv) {
    if (argc != 4 && argc != 6 && argc != 8) {
        std::fprintf(stderr,
                     "usage: luup-reference MODEL N THREADS [CACHE_TYPE_K CACHE_TYPE_V [ROPE_SCALING ROPE_SCALE]] "
                     "< tokens\n");
        return 2;
    }
    const int n       = std::atoi(argv[2]);
    const int threads = std::atoi(argv[3]);
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    ggml_backend_load_all();
    llama_model * model = llama_model_load_from_file(argv[1], llama_model_default_params());
    if (!model) {
        std::fprintf(stderr, "%s can't be loaded\n", argv[1]);
        return 1;
    }
    const llama_vocab *  vocab   = llama_model_get_vocab(model);
    const int            n_vocab = llama_vocab_n_tokens(vocab);
    llama_context_params params  = llama_context_default_params();
    params.n_ctx                 = 4096;
    params.n_threads             = threads;
    params.n_threads_batch       = threads;
    if (argc > 4) {
        params.type_k = type_of(argv[4]);
        params.type_v = type_of(argv[5]);
    }
    if (argc > 6) {
        params.rope_scaling_type =
            argv[6] == std::string("yarn") ? LLAMA_ROPE_SCALING_TYPE_YARN : LLAMA_ROPE_SCALING_TYPE_LINEAR;
        params.rope_freq_scale = 1.0f / std::stof(argv[7]);
    }
    llama_context * context = llama_init_from_model(model, params);
    if (!context) {
        std::fprintf(stderr, "a context can't be created\n");
        return 1;
    }

    std::string line;
    while (std::getline(std::cin, line)) {
        llama_memory_clear(llama_get_memory(context), true);
        std::istringstream       words(line);
        std::vector<llama_token> tokens;
        for (llama_token t; words >> t;) {
            tokens.push_back(t);
        }
        llama_batch batch = llama_batch_get_one(tokens.data(), static_cast<int>(tokens.size()));
        llama_token next  = 0;
        for (int i = 0; i < n; i++) {
            if (llama_decode(context, batch) != 0) {
                std::fprintf(stderr, "llama_decode failed\n");
                return 1;
            }
            const float * logits = llama_get_logits_ith(context, -1);
            int           best = 0, second = -1;
            for (int t = 1; t < n_vocab; t++) {
                if (logits[t] > logits[best]) {
                    second = best;
                    best   = t;
                } else if (second < 0 || logits[t] > logits[second]) {
                    second = t;
                }
            }
            std::printf("%s%d %.6f %d %.6f", i ? " " : "", best, logits[best], second, logits[second]);
            if (llama_vocab_is_eog(vocab, best)) {
                break;
            }
            next  = best;
            batch = llama_batch_get_one(&next, 1);
        }
        std::printf("\n");
        std::fflush(stdout);
    }
    llama_free(context);
    llama_model_free(model);
    return 0;
}
