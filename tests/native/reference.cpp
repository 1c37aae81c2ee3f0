// Greedy decoding with llama.h alone: what the engine's answers are compared with, token for token.
//
//   luup-reference MODEL N THREADS < tokens
//
// Each line of standard input is a prompt: token ids, separated by spaces. For each, a line comes out with up to N groups
// "token logit second_token second_logit": the greedy choice and the runner-up, until an end-of-generation token.
#include "ggml-backend.h"
#include "llama.h"

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

int main(int argc, char ** argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: luup-reference MODEL N THREADS < tokens\n");
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
    llama_context * context      = llama_init_from_model(model, params);

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
