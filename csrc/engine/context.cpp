#include "engine/context.h"

#include "base/error.h"
#include "base/log.h"
#include "base/memory_log.h"
#include "device/backends.h"

#include "ggml-cpu.h"
#include "llama-ext.h"
#include "llama-model.h"

#include <algorithm>

namespace luup {

namespace {

// How long ggml's threads spin after a decode before they sleep, in units of 131,072 pauses, some 2 to 6 ms each:
// longer than it takes to choose a token. ggml's own 50 would keep the processors busy for a quarter of a second of a
// tool's time, or of Python's.
constexpr uint32_t idle_polling = 1;

// ggml's thread pools belong to the CPU backend, which is loaded at run time.
template <typename F> F cpu_function(const char * name) {
    return reinterpret_cast<F>(ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(cpu_device()), name));
}

ggml_threadpool * new_threadpool(int32_t threads) {
    const auto create = cpu_function<decltype(&ggml_threadpool_new)>("ggml_threadpool_new");
    auto       params = ggml_threadpool_params_default(threads);
    params.poll       = idle_polling;
    return create ? create(&params) : nullptr;
}

void free_threadpool(ggml_threadpool * pool) {
    const auto destroy = cpu_function<decltype(&ggml_threadpool_free)>("ggml_threadpool_free");
    if (pool && destroy) {
        destroy(pool);
    }
}

llama_context * new_context(llama_model * model, const llama_context_params & params) {
    LogCapture      log;
    llama_context * context = llama_init_from_model(model, params);
    if (!context) {
        const std::string & reason = log.text();
        // Otherwise memory is the likely reason: some failures of llama.cpp log nothing.
        const bool refused =
            reason.find("failed to initialize the context") != std::string::npos && !tells_of_memory(reason);
        fail(refused ? LUUP_ERROR_MODEL_LOAD_FAILED : LUUP_ERROR_OUT_OF_MEMORY,
             "a context of %u tokens could not be created: %s", params.n_ctx,
             reason.empty() ? "not enough memory" : reason.c_str());
    }
    return context;
}

}  // namespace

Context::Context(llama_model * model, const llama_context_params & params, int32_t threads, int32_t threads_batch)
    : model_(model),
      context_(new_context(model, params)),
      decode_threads_(new_threadpool(threads)),
      threads_(threads),
      threads_batch_(threads_batch),
      size_(static_cast<int32_t>(llama_n_ctx(context_))),
      batch_size_(static_cast<int32_t>(std::min(llama_n_batch(context_), llama_n_ubatch(context_)))),
      max_sequences_(static_cast<int32_t>(llama_n_seq_max(context_))),
      max_outputs_(static_cast<int32_t>(params.n_outputs_max)) {
    if (threads_batch != threads) {
        prefill_threads_ = new_threadpool(threads_batch);
    }
    llama_attach_threadpool(context_, decode_threads_, prefill_threads_ ? prefill_threads_ : decode_threads_);
}

Context::~Context() {
    llama_free(context_);
    free_threadpool(prefill_threads_);
    free_threadpool(decode_threads_);
}

// llama.cpp takes the second number for two tokens and more.
void Context::set_threads(int32_t threads) {
    llama_set_n_threads(context_, std::min(threads, threads_), std::min(threads, threads_batch_));
}

MemoryUse Context::memory() const {
    MemoryUse use;
    for (const auto & [type, part] : llama_get_memory_breakdown(context_)) {
        use.context += part.context;
        use.compute += part.compute;
        if (!ggml_backend_buft_is_host(type)) {
            use.weights += part.model;
        }
    }
    // The breakdown counts a mapped file as a whole, even where most of its weights were copied into another layout for
    // the CPU's kernels. So the tensors in host memory are added up here.
    for (const auto & [name, tensor] : llama_internal_get_tensor_map(model_)) {
        if (ggml_backend_buffer_is_host(tensor->buffer)) {
            use.weights += ggml_nbytes(tensor);
        }
    }
    return use;
}

}  // namespace luup
