#include "model/header_trial.h"

#include "base/error.h"

#include "llama-model.h"
#include "llama.h"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

namespace luup {

namespace {

constexpr uint64_t least_alignment = 8;  // bytes; writers take 32

template <typename Get> std::string text_of(Get get) {
    std::array<char, 256> text = {};
    return get(text.data(), text.size()) < 0 ? "" : text.data();
}

bool ends_with(std::string_view text, std::string_view end) {
    return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// The kernels end the process where they would add such a number.
void check_epsilons(const llama_model * model) {
    for (int32_t i = 0; i < llama_model_meta_count(model); i++) {
        const std::string key =
            text_of([&](char * out, size_t n) { return llama_model_meta_key_by_index(model, i, out, n); });
        if (ends_with(key, "_epsilon")) {
            const std::string value =
                text_of([&](char * out, size_t n) { return llama_model_meta_val_str_by_index(model, i, out, n); });
            const double epsilon = std::strtod(value.c_str(), nullptr);
            if (!(epsilon >= 0 && epsilon <= 1)) {
                throw std::runtime_error(key + " is " + value + ", not a small positive number");
            }
        }
    }
}

// Weights are where the kernels' instructions for vectors may read them.
void check_alignment(const llama_model * model) {
    const std::string alignment =
        text_of([&](char * out, size_t n) { return llama_model_meta_val_str(model, "general.alignment", out, n); });
    if (!alignment.empty() && std::strtoull(alignment.c_str(), nullptr, 10) < least_alignment) {
        throw std::runtime_error("general.alignment is " + alignment + "; at least " + std::to_string(least_alignment) +
                                 " is needed");
    }
}

// Weights are of a floating or a quantized type, and lines of them (norms, biases) are F32: there are kernels for
// nothing else.
void check_types(const llama_model * model) {
    for (const auto & [name, tensor] : llama_internal_get_tensor_map(model)) {
        const ggml_type type = tensor->type;
        const bool      wide =
            type == GGML_TYPE_I8 || type == GGML_TYPE_I16 || type == GGML_TYPE_I64 || type == GGML_TYPE_F64;
        if (wide || (ggml_n_dims(tensor) == 1 && type != GGML_TYPE_F32 && type != GGML_TYPE_I32)) {
            throw std::runtime_error("the tensor " + name + " is of the type " + ggml_type_name(type));
        }
        if (type == GGML_TYPE_I32 && ends_with(name, ".weight")) {
            throw std::runtime_error("the tensor " + name + " has integers");
        }
    }
}

// Positions turn pairs of numbers.
void check_rotation(const llama_model * model) {
    const llama_hparams & h = model->hparams;
    for (uint32_t layer = 0; layer < h.n_layer() && llama_model_rope_type(model) != LLAMA_ROPE_TYPE_NONE; layer++) {
        if (h.n_rot(layer) % 2 != 0) {
            throw std::runtime_error("rope.dimension_count is " + std::to_string(h.n_rot(layer)) + ", an odd number");
        }
    }
}

// Loads the header without the weights, and builds the graph of a step.
void load_header(const std::string & path, std::optional<enum llama_pooling_type> pooling) {
    // Ordinary failures are not reported from here: the load itself fails again, and its log is read.
    const llama_model_ptr model = read_header(path);
    if (!model) {
        return;
    }
    check_epsilons(model.get());
    check_types(model.get());
    check_alignment(model.get());
    check_rotation(model.get());
    llama_context_params c = smallest_context();
    if (pooling) {
        c.embeddings   = true;
        c.pooling_type = *pooling;
    }
    llama_free(llama_init_from_model(model.get(), c));
}

}  // namespace

llama_model_ptr read_header(const std::string & path, bool mtp) {
    ggml_backend_dev_t devices[] = { nullptr };
    llama_model_params p         = llama_model_default_params();
    p.devices                    = devices;
    p.n_gpu_layers               = 0;
    p.no_alloc                   = true;
    p.load_mode                  = LLAMA_LOAD_MODE_NONE;
    p.load_mtp                   = mtp;
    return llama_model_ptr(llama_model_load_from_file(path.c_str(), p));
}

llama_context_params smallest_context() {
    llama_context_params c = llama_context_default_params();
    c.n_ctx = c.n_batch = c.n_ubatch = 512;
    c.n_seq_max                      = 1;
    c.n_threads = c.n_threads_batch = 1;
    return c;
}

void check_header(const std::string & path, KnownFile & known, std::optional<enum llama_pooling_type> pooling) {
    const std::string trial  = "header-" + std::to_string(pooling ? static_cast<int>(*pooling) : -1);
    const std::string passed = LUUP_VERSION " " LUUP_LLAMA_COMMIT;
    if (known.get(trial) == passed) {
        return;
    }
    TrialEnd          end;
    const std::string reason = try_in_child([&] { load_header(path, pooling); }, header_limits, &end);
    if (!reason.empty()) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED, "%s can't be loaded: %s (%s)", path.c_str(),
             end == TrialEnd::Killed ? "its header could not be checked" : "its header is damaged", reason.c_str());
    }
    if (end == TrialEnd::Passed) {
        known.put(trial, passed);
    }
}

}  // namespace luup
