#include "model/estimate.h"

#include "base/error.h"
#include "base/log.h"
#include "base/memory_log.h"
#include "engine/draft_model.h"
#include "engine/mtp_heads.h"
#include "media/projector_file.h"
#include "model/draft.h"
#include "model/gguf_file.h"
#include "model/load_params.h"
#include "model/mtp.h"
#include "model/weights.h"
#include "device/cgroup.h"
#include "device/placement.h"

#include "llama-cpp.h"
#include "llama-ext.h"

#include <algorithm>
#include <utility>

namespace luup {

namespace {

uint64_t free_memory(const llama_model * model) {
    uint64_t sum = 0;
    for (int32_t i = 0; i < llama_model_n_devices(model); i++) {
        size_t free = 0, total = 0;
        ggml_backend_dev_memory(llama_model_get_device(model, i), &free, &total);
        sum += free;
    }
    return sum;
}

// Buffers of the CPU may not be host buffers: weights in a layout that only its kernels read.
bool is_on_gpu(ggml_backend_buffer_type_t type) {
    const ggml_backend_dev_t device = ggml_backend_buft_get_device(type);
    return device && ggml_backend_dev_type(device) != GGML_BACKEND_DEVICE_TYPE_CPU && !ggml_backend_buft_is_host(type);
}

// A model and its context as a load would make them, without their memory.
struct LaidOut {
    llama_model_ptr      model;
    llama_context_params params;
    llama_context_ptr    context;
    llama_context_ptr    heads;  // null if they are not used
};

// `draft_of`: the context of the model whose draft model this is.
LaidOut lay_out(const std::string & path, const luup_model_params & params,
                const llama_context_params * draft_of = nullptr) {
    KnownFile unknown(nullptr, { path });
    check_load(path, params, unknown);
    Placement          placement(params);
    llama_model_params p = placement.model_params();
    p.no_alloc           = true;
    p.load_mode          = LLAMA_LOAD_MODE_NONE;
    const bool mtp       = !draft_of && params.use_mtp && !params.draft && check_mtp(path, unknown) == mtp_used;
    p.load_mtp           = mtp;

    LogCapture      log;
    llama_model_ptr model(llama_model_load_from_file(path.c_str(), p));
    if (!model) {
        fail_load(path, log.text());
    }
    const llama_context_params c =
        draft_of ? DraftModel::context_params(*draft_of) : context_params(model.get(), params, mtp || params.draft);
    llama_context_ptr context(llama_init_from_model(model.get(), c));
    if (!context) {
        fail(tells_of_memory(log.text()) ? LUUP_ERROR_OUT_OF_MEMORY : LUUP_ERROR_MODEL_LOAD_FAILED,
             "a context of %u tokens can't be laid out for %s: %s", c.n_ctx, path.c_str(), log.text().c_str());
    }
    llama_context_ptr heads(mtp ? llama_init_from_model(model.get(), MtpHeads::context_params(c)) : nullptr);
    return { std::move(model), c, std::move(context), std::move(heads) };
}

}  // namespace

luup_memory_estimate estimate_memory(const std::string & path, const luup_model_params & params) {
    const LaidOut             laid_out = lay_out(path, params);
    const llama_model_ptr &   model    = laid_out.model;
    const llama_context_ptr & context  = laid_out.context;
    luup_memory_estimate      result   = {};
    for (const auto & [type, use] : llama_get_memory_breakdown(context.get())) {
        result.memory_weights += use.model;
        result.memory_context += use.context;
        result.memory_compute += use.compute;
        (is_on_gpu(type) ? result.memory_devices : result.memory_host) += use.total();
    }
    const bool on_gpu     = llama_model_n_devices(model.get()) > 0;
    result.host_available = available_memory();
    result.devices_free   = free_memory(model.get());
    result.context_size   = static_cast<int32_t>(llama_n_ctx(context.get()));
    result.layers         = llama_model_n_layer(model.get());
    result.gpu_layers     = !on_gpu                 ? 0
                            : params.gpu_layers < 0 ? result.layers
                                                    : std::min(params.gpu_layers, result.layers);
    if (params.mmproj) {
        check_file(params.mmproj);
        result.memory_projector = projector_memory(params.mmproj);
        (result.gpu_layers > 0 ? result.memory_devices : result.memory_host) += result.memory_projector;
    }
    if (params.draft) {
        try {
            const LaidOut draft = lay_out(params.draft, draft_params(params), &laid_out.params);
            for (const auto & [type, use] : llama_get_memory_breakdown(draft.context.get())) {
                result.memory_draft += use.total();
                (is_on_gpu(type) ? result.memory_devices : result.memory_host) += use.total();
            }
        } catch (const Error & error) {
            fail(error.code(), "the draft model: %s", error.what());
        }
    }
    if (laid_out.heads) {
        for (const auto & [type, use] : llama_get_memory_breakdown(laid_out.heads.get())) {
            result.memory_draft += use.context + use.compute;
            (is_on_gpu(type) ? result.memory_devices : result.memory_host) += use.context + use.compute;
        }
    }
    return result;
}

}  // namespace luup
