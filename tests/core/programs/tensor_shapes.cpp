// The tensors that llama.cpp wants for a model, so that tests can write a file of random weights for each architecture.
//
//   luup-tensor-shapes HEADER.gguf
//
// The file has a model's fields and no tensors. A line "name ne0 ne1 ne2 ne3" comes out for each tensor.
#include "ggml-backend.h"
#include "ggml.h"
#include "gguf.h"
#include "llama.h"

#include <cinttypes>
#include <cstdio>
#include <set>
#include <string>

static void print_shape(ggml_tensor * tensor, void * seen) {
    if (static_cast<std::set<std::string> *>(seen)->insert(tensor->name).second) {
        std::printf("%s %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 "\n", tensor->name, tensor->ne[0], tensor->ne[1],
                    tensor->ne[2], tensor->ne[3]);
    }
}

int main(int argc, char ** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: luup-tensor-shapes HEADER.gguf\n");
        return 2;
    }
    llama_log_set(
        [](ggml_log_level level, const char * text, void *) {
            if (level == GGML_LOG_LEVEL_ERROR) {
                std::fputs(text, stderr);
            }
        },
        nullptr);
    ggml_backend_load_all();
    gguf_context * header = gguf_init_from_file(argv[1], { true, nullptr });
    if (!header) {
        std::fprintf(stderr, "%s can't be read\n", argv[1]);
        return 1;
    }
    std::set<std::string> seen;
    llama_model_params    params = llama_model_default_params();
    params.load_mtp              = true;
    llama_model * model          = llama_model_init_from_user(header, print_shape, &seen, params);
    llama_model_free(model);
    gguf_free(header);
    return model ? 0 : 1;
}
