#include "model/weights.h"

#include "base/error.h"
#include "base/log.h"
#include "base/memory_log.h"
#include "device/cgroup.h"
#include "model/gguf_file.h"
#include "model/load_params.h"

#include "llama-ext.h"
#include "llama-model.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <new>

namespace luup {

namespace {

// The progress function, which may stop the load.
struct Progress {
    luup_load_progress callback;
    void *             user_data;
    bool               stopped;

    // Returns whether to stop.
    bool report(float done) {
        stopped = stopped || (callback && !callback(done, user_data));
        return stopped;
    }
};

// Whether all layers stay in this machine's main memory.
bool computes_on_cpu(const luup_model_params & params) {
    if (params.n_rpc_servers > 0) {
        return false;
    }
    for (size_t i = 0; params.gpu_layers != 0 && i < ggml_backend_dev_count(); i++) {
        const auto type = ggml_backend_dev_type(ggml_backend_dev_get(i));
        if (type == GGML_BACKEND_DEVICE_TYPE_GPU || type == GGML_BACKEND_DEVICE_TYPE_IGPU) {
            return false;
        }
    }
    return true;
}

// Returns a name for the content of the model's files; "" if its weights are not kept: they would be read twice where
// memory is short, and must not be in a file that is mapped if the caller wants none.
std::string content_of(const std::string & path, const luup_model_params & params, KeptWeights & kept) {
    const uint64_t memory = available_memory();
    if (!kept.cache || !kept.known.is_kept() || !params.use_mmap || params.use_mlock ||
        (memory > 0 && kept.known.bytes() > memory / 2)) {
        return "";
    }
    if (const auto content = kept.known.get("content")) {
        return *content;
    }
    std::string content = std::to_string(kept.known.bytes());
    for (const std::string & file : model_files(path)) {
        const auto sum = file_sum(file);
        if (!sum) {
            return "";
        }
        content += " " + std::to_string(*sum);
    }
    kept.known.put("content", content);
    return kept.known.is_unchanged() ? content : "";
}

llama_model_ptr load_model(const std::string & path, const luup_model_params & params, Placement & placement,
                           const MappedFiles & files, bool mtp, Progress & progress) {
    llama_model_params p = placement.model_params();
    p.load_mode          = params.use_mmap ? (params.use_mlock ? LLAMA_LOAD_MODE_MMAP_MLOCK : LLAMA_LOAD_MODE_MMAP)
                                           : (params.use_mlock ? LLAMA_LOAD_MODE_MLOCK : LLAMA_LOAD_MODE_NONE);
    p.load_mtp           = mtp;
    if (progress.callback) {
        p.progress_callback_user_data = &progress;
        p.progress_callback = [](float done, void * data) { return !static_cast<Progress *>(data)->report(done); };
    }
    LogCapture      log;
    llama_model_ptr model;
    try {
        model.reset(llama_model_load_from_file(path.c_str(), p));
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception & e) {
        fail_load(path, e.what());
    }
    const std::string lost = files.lost();
    if (!lost.empty()) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED,
             "%s can't be loaded: it became shorter while it was read, or its disk failed", lost.c_str());
    }
    const std::string changed = files.changed();
    if (!changed.empty()) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED, "%s can't be loaded: it was changed while it was read", changed.c_str());
    }
    if (progress.stopped) {
        fail(LUUP_ERROR_CANCELLED, "loading %s was cancelled", path.c_str());
    }
    if (!model) {
        fail_load(path, log.text());
    }
    return model;
}

// ggml ends the process at such a model's first token.
bool lacks_rope_sections(const llama_model * model) {
    const auto   type     = llama_model_rope_type(model);
    const auto & sections = model->hparams.rope_sections;
    return (type == LLAMA_ROPE_TYPE_MROPE || type == LLAMA_ROPE_TYPE_IMROPE) && sections[0] <= 0 && sections[1] <= 0 &&
           sections[2] <= 0;
}

}  // namespace

std::vector<std::string> model_files(const std::string & path) {
    int                      parts = 0, length = 0;
    const size_t             end   = path.size();
    constexpr size_t         width = sizeof("-00001-of-00002.gguf") - 1;
    std::vector<std::string> files = { path };
    if (end > width && std::sscanf(path.c_str() + end - width, "-00001-of-%5d.gguf%n", &parts, &length) == 1 &&
        length == static_cast<int>(width)) {
        for (int part = 2; part <= parts; part++) {
            std::array<char, 2 * width> suffix = {};
            std::snprintf(suffix.data(), suffix.size(), "-%05d-of-%05d.gguf", part, parts);
            files.push_back(path.substr(0, end - width) + suffix.data());
        }
    }
    return files;
}

std::string files_key(const std::string & path) {
    std::string key;
    for (const std::string & file : model_files(path)) {
        check_file(file);
        key += (key.empty() ? "" : " ") + file_key(file);
    }
    return key;
}

llama_model_ptr load_weights(const std::string & path, const luup_model_params & params, Placement & placement,
                             MappedFiles & files, KeptWeights & kept) {
    Progress progress{ params.progress, params.user_data, false };
    if (!computes_on_cpu(params)) {
        return load_model(path, params, placement, files, kept.mtp, progress);
    }
    const auto  stop    = [&] { return progress.report(0); };
    std::string content = content_of(path, params, kept);
    content += content.empty() || !kept.mtp ? "" : " mtp";
    for (;; content.clear()) {
        StoredWeights   stored(kept.cache, content, params.use_mmap, files, stop);
        llama_model_ptr model = load_model(path, params, placement, files, kept.mtp, progress);
        if (content.empty() || kept.known.is_unchanged()) {
            stored.keep();
            if (content.empty() || stored.is_right()) {
                kept.sizes = stored.sizes();
                return model;
            }
        }
        log_write(LUUP_LOG_WARN, path + " is loaded again: its weights in the cache are those of another file");
    }
}

void fail_load(const std::string & path, const std::string & log) {
    if (tells_of_memory(log)) {
        fail(LUUP_ERROR_OUT_OF_MEMORY,
             "there is not enough memory for the weights of %s, of which %llu MB are left: %s", path.c_str(),
             static_cast<unsigned long long>(available_memory() >> 20), log.c_str());
    }
    fail(LUUP_ERROR_MODEL_LOAD_FAILED, "%s can't be loaded: %s", path.c_str(),
         log.empty() ? "the file is damaged" : log.c_str());
}

void check_can_generate(const llama_model * model, const std::string & path) {
    const llama_vocab * vocab        = llama_model_get_vocab(model);
    const std::string   architecture = metadata(model, "general.architecture");
    const std::string   pooling      = metadata(model, architecture + ".pooling_type");
    const char *        why          = nullptr;
    if (llama_vocab_type(vocab) == LLAMA_VOCAB_TYPE_NONE || llama_vocab_n_tokens(vocab) == 0) {
        why = "it has no vocabulary";
    } else if (llama_model_has_encoder(model) || !llama_model_has_decoder(model)) {
        why = "it has an encoder, which this library does not run";
    } else if (!model->hparams.causal_attn) {
        why = "its attention is not causal: it is made for embeddings";
    } else if (!pooling.empty() && pooling != "0") {
        why = "it is made for embeddings (it pools its outputs)";
    } else if (llama_model_is_diffusion(model)) {
        why = "it is a diffusion model";
    } else if (lacks_rope_sections(model)) {
        why = "its rotary positions have several dimensions, but the file does not say which (rope.dimension_sections)";
    } else if (llama_model_n_cls_out(model) > 1 && llama_model_cls_label(model, 0)) {
        why = "it is a classifier";
    }
    if (why) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED, "%s (architecture %s) can't generate text: %s", path.c_str(),
             architecture.c_str(), why);
    }
}

void check_context_memory(const llama_model * model, const llama_context_params & context) {
    const std::string key   = metadata(model, metadata(model, "general.architecture") + ".attention.key_length");
    const int32_t     heads = std::max(1, llama_model_n_head(model));
    const uint64_t    head_size =
        key.empty() ? llama_model_n_embd(model) / heads : std::strtoull(key.c_str(), nullptr, 10);
    const uint64_t numbers = head_size * llama_model_n_head_kv(model) * llama_model_n_layer(model) * context.n_ctx;
    uint64_t       bytes   = 0;
    for (const ggml_type type : { context.type_k, context.type_v }) {
        bytes += numbers * ggml_type_size(type) / static_cast<uint64_t>(ggml_blck_size(type));
    }
    const uint64_t available = available_memory();
    if (available > 0 && bytes > available && llama_model_n_devices(model) == 0 && !llama_model_is_recurrent(model) &&
        !llama_model_is_hybrid(model)) {
        fail(LUUP_ERROR_OUT_OF_MEMORY,
             "a context of %u tokens needs %llu MB for its KV cache; %llu MB of memory are left", context.n_ctx,
             static_cast<unsigned long long>(bytes >> 20), static_cast<unsigned long long>(available >> 20));
    }
}

std::string metadata(const llama_model * model, const std::string & key) {
    std::array<char, 512> buffer = {};
    const int32_t         n      = llama_model_meta_val_str(model, key.c_str(), buffer.data(), buffer.size());
    return n < 0 ? "" : std::string(buffer.data());
}

}  // namespace luup
