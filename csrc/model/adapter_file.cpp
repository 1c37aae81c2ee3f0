#include "model/adapter_file.h"

#include "base/child_trial.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory_log.h"
#include "model/gguf_file.h"
#include "model/weights.h"

#include "gguf.h"
#include "llama-adapter.h"
#include "llama-model.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>

namespace luup {

namespace {

constexpr const char * invocation_key = "adapter.alora.invocation_tokens";

using Header = std::unique_ptr<gguf_context, void (*)(gguf_context *)>;

// Throws if the header has a value of another type: llama.cpp ends the process where it reads one.
void check_type(const gguf_context * header, const char * key, gguf_type type) {
    const int64_t at = gguf_find_key(header, key);
    if (at >= 0 && gguf_get_kv_type(header, at) != type) {
        throw std::runtime_error(std::string(key) + " is not of the type " + gguf_type_name(type));
    }
}

void check_metadata(const gguf_context * header) {
    for (const char * key : { "general.type", "general.architecture", "adapter.type" }) {
        check_type(header, key, GGUF_TYPE_STRING);
    }
    constexpr const char * alpha = "adapter.lora.alpha";
    check_type(header, alpha, GGUF_TYPE_FLOAT32);
    const int64_t at = gguf_find_key(header, alpha);
    if (at >= 0 && !std::isfinite(gguf_get_val_f32(header, at))) {
        throw std::runtime_error(std::string(alpha) + " is not a finite number");
    }
    if (gguf_find_key(header, invocation_key) >= 0) {
        throw std::runtime_error("it is an activated LoRA (aLoRA), which this library does not run");
    }
}

// Throws if a pair of tensors can't be multiplied with the model's one: llama.cpp checks only a part of the shapes.
void check_pair(const std::string & name, const ggml_tensor * a, const ggml_tensor * b, const ggml_tensor * weight) {
    for (const ggml_tensor * each : { a, b }) {
        const bool plain = each->type == GGML_TYPE_F32 || each->type == GGML_TYPE_F16 || each->type == GGML_TYPE_BF16;
        if (!plain && !ggml_is_quantized(each->type)) {
            throw std::runtime_error("the tensor " + std::string(each->name) + " is of the type " +
                                     ggml_type_name(each->type));
        }
        for (int i : { 2, 3 }) {
            if (each->ne[i] != weight->ne[i]) {
                throw std::runtime_error("the tensor " + std::string(each->name) + " has " +
                                         std::to_string(each->ne[i]) + " matrices; that of the model has " +
                                         std::to_string(weight->ne[i]));
            }
        }
    }
    if (a->ne[name == "token_embd.weight" ? 0 : 1] != b->ne[0] || b->ne[0] < 1) {
        throw std::runtime_error("the ranks of the tensors of " + name + " differ");
    }
}

void check_tensors(const llama_model * model, ggml_context * tensors) {
    size_t pairs = 0;
    for (const auto & [name, weight] : llama_internal_get_tensor_map(model)) {
        const ggml_tensor * a = ggml_get_tensor(tensors, (name + ".lora_a").c_str());
        const ggml_tensor * b = ggml_get_tensor(tensors, (name + ".lora_b").c_str());
        if (a && b) {
            check_pair(name, a, b, weight);
            pairs++;
        }
    }
    if (pairs == 0) {
        throw std::runtime_error("it has no tensor for this model");
    }
}

void check_adapter(const llama_model * model, const std::string & path) {
    ggml_context * tensors = nullptr;
    const Header   header(gguf_init_from_file(path.c_str(), { true, &tensors }), gguf_free);
    if (header) {  // else the load itself fails again, and its log is read
        const std::unique_ptr<ggml_context, void (*)(ggml_context *)> owner(tensors, ggml_free);
        check_metadata(header.get());
        check_tensors(model, tensors);
    }
}

uint64_t size_of(const llama_adapter_lora & adapter) {
    uint64_t bytes = 0;
    for (const auto & buffer : adapter.bufs) {
        bytes += ggml_backend_buffer_get_size(buffer.get());
    }
    return bytes;
}

Adapter load_adapter(llama_model * model, const std::string & name, const std::string & path) {
    check_file(path);
    const auto refuse = [&](const std::string & reason) {
        if (tells_of_memory(reason)) {
            fail(LUUP_ERROR_OUT_OF_MEMORY, "there is not enough memory for the adapter \"%s\" of %s: %s", name.c_str(),
                 path.c_str(), reason.c_str());
        }
        fail(LUUP_ERROR_MODEL_LOAD_FAILED, "the adapter \"%s\" of %s can't be loaded: %s", name.c_str(), path.c_str(),
             reason.empty() ? "the file is damaged" : reason.c_str());
    };
    const std::string damage = try_in_child([&] { check_adapter(model, path); }, { 60, size_t(4) << 30 });
    if (!damage.empty()) {
        refuse(damage);
    }
    LogCapture           log;
    llama_adapter_lora * weights = llama_adapter_lora_init(model, path.c_str());
    if (!weights) {
        refuse(log.text());
    }
    return { name, weights, file_key(path), size_of(*weights) };
}

}  // namespace

std::vector<Adapter> load_adapters(llama_model * model, const luup_model_params & params) {
    std::vector<Adapter> adapters;
    for (size_t i = 0; i < params.n_adapters; i++) {
        adapters.push_back(load_adapter(model, params.adapters[i].name, params.adapters[i].path));
    }
    return adapters;
}

}  // namespace luup
