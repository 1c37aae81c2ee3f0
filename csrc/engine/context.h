// A llama_context and the threads that compute for it.
#pragma once

#include "llama.h"

#include <cstdint>

struct ggml_threadpool;

namespace luup {

// Bytes.
struct MemoryUse {
    uint64_t weights = 0;
    uint64_t context = 0;
    uint64_t compute = 0;

    uint64_t total() const { return weights + context + compute; }
};

// Belongs to one thread at a time.
class Context {
  public:
    // `model` must outlive the context. Throws Error(LUUP_ERROR_OUT_OF_MEMORY) if the context can't be created.
    Context(llama_model * model, const llama_context_params & params, int32_t threads, int32_t threads_batch);
    ~Context();
    Context(const Context &)             = delete;
    Context & operator=(const Context &) = delete;

    llama_context * get() const { return context_; }

    int32_t size() const { return size_; }                    // tokens that it holds
    int32_t batch_size() const { return batch_size_; }        // tokens that one decode takes
    int32_t max_sequences() const { return max_sequences_; }
    int32_t max_outputs() const { return max_outputs_; }      // rows of logits of one decode

    // The next decode uses this many of the threads.
    void set_threads(int32_t threads);

    MemoryUse memory() const;

  private:
    llama_model *     model_;
    llama_context *   context_;
    ggml_threadpool * decode_threads_;
    ggml_threadpool * prefill_threads_ = nullptr;  // null: the same as decode_threads_
    int32_t           threads_;
    int32_t           threads_batch_;
    int32_t           size_;
    int32_t           batch_size_;
    int32_t           max_sequences_;
    int32_t           max_outputs_;
};

}  // namespace luup
