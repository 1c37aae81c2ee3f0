#include "engine/media_batch.h"

#include "base/error.h"

#include <new>

namespace luup {

namespace {

// While it lives, the tokens of a decode see those behind them.
class NotCausal {
  public:
    NotCausal(llama_context * context, bool wanted) : context_(wanted ? context : nullptr) {
        if (context_) {
            llama_set_causal_attn(context_, false);
        }
    }

    ~NotCausal() {
        if (context_) {
            llama_set_causal_attn(context_, true);
        }
    }

    NotCausal(const NotCausal &)             = delete;
    NotCausal & operator=(const NotCausal &) = delete;

  private:
    llama_context * context_;
};

}  // namespace

MediaBatch::MediaBatch(llama_context * context)
    : context_(context), vector_size_(static_cast<size_t>(llama_model_n_embd_inp(llama_get_model(context)))) {}

int MediaBatch::decode(const MediaSpan & span, int32_t first, int32_t n, llama_pos position, llama_seq_id sequence) {
    if (!batch_) {
        batch_.reset(llama_batch_ext_init(context_));
        if (!batch_) {
            throw std::bad_alloc();
        }
    }
    llama_batch_ext_clear(batch_.get());
    for (int32_t i = first; i < first + n; i++) {
        const llama_embd vector = { span.vectors->data() + static_cast<size_t>(i) * vector_size_, 1, vector_size_ };
        const int32_t    at     = llama_batch_ext_add_embd(batch_.get(), sequence, vector);
        const auto       places = span.chunk.position(position, i);
        if (at < 0 || !llama_batch_ext_set_pos(batch_.get(), at, places.data())) {
            fail(LUUP_ERROR_INTERNAL, "a vector of a picture can't be decoded (llama_batch_ext_add_embd: %d)", at);
        }
    }
    const NotCausal attention(context_, !span.chunk.causal);
    return llama_process(context_, LLAMA_PROCESS_TYPE_DECODE, batch_.get());
}

}  // namespace luup
