#include "model/description.h"

#include "device/backends.h"
#include "model/weights.h"

#include "llama-ext.h"

#include <algorithm>
#include <array>

namespace luup {

namespace {

// The name of a GGUF file type, as llama.cpp's descriptions end: "llama 135M Q4_1" gives "Q4_1".
std::string file_type_name(llama_ftype type, const std::string & description, const std::string & architecture) {
    std::string rest = description;
    if (rest.rfind(architecture + " ", 0) == 0) {
        rest.erase(0, architecture.size() + 1);
    }
    const size_t space = rest.find(' ');
    return space == std::string::npos ? "type " + std::to_string(type) : rest.substr(space + 1);
}

}  // namespace

void describe_model(const llama_model * model, const std::string & path, int32_t gpu_layers, ModelInfo & info) {
    std::array<char, 256> buffer = {};
    llama_model_desc(model, buffer.data(), buffer.size());
    info.path         = path;
    info.description  = buffer.data();
    info.architecture = metadata(model, "general.architecture");
    info.file_type    = file_type_name(llama_model_ftype(model), info.description, info.architecture);
    info.cpu_variant  = load_backends().name;

    const int32_t            layers = llama_model_n_layer(model);
    const int32_t            gpus   = llama_model_n_devices(model);
    const bool               on_gpu = gpus > 0;
    const ggml_backend_dev_t device = on_gpu ? llama_model_get_device(model, 0) : cpu_device();
    info.backend                    = ggml_backend_reg_name(ggml_backend_dev_backend_reg(device));
    info.device                     = ggml_backend_dev_description(device);
    for (int32_t i = 1; i < gpus; i++) {
        info.device += std::string(", ") + ggml_backend_dev_description(llama_model_get_device(model, i));
    }

    luup_model_info & n     = info.numbers;
    n.parameters            = llama_model_n_params(model);
    n.training_context_size = llama_model_n_ctx_train(model);
    n.vocabulary_size       = llama_vocab_n_tokens(llama_model_get_vocab(model));
    n.embedding_size        = llama_model_n_embd(model);
    n.layers                = layers;
    n.gpu_layers            = !on_gpu ? 0 : gpu_layers < 0 ? layers : std::min(gpu_layers, layers);
}

}  // namespace luup
