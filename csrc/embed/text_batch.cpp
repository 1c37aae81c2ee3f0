#include "embed/text_batch.h"

namespace luup {

void TextBatch::clear() {
    tokens_.clear();
    positions_.clear();
    ids_.clear();
}

void TextBatch::add(const Tokens & text, llama_seq_id id) {
    tokens_.insert(tokens_.end(), text.begin(), text.end());
    for (size_t i = 0; i < text.size(); i++) {
        positions_.push_back(static_cast<llama_pos>(i));
    }
    ids_.insert(ids_.end(), text.size(), id);
}

llama_batch TextBatch::view() {
    counts_.assign(tokens_.size(), 1);
    outputs_.assign(tokens_.size(), 1);
    sequences_.clear();
    for (llama_seq_id & id : ids_) {
        sequences_.push_back(&id);
    }
    llama_batch batch = {};
    batch.n_tokens    = static_cast<int32_t>(tokens_.size());
    batch.token       = tokens_.data();
    batch.pos         = positions_.data();
    batch.n_seq_id    = counts_.data();
    batch.seq_id      = sequences_.data();
    batch.logits      = outputs_.data();
    return batch;
}

}  // namespace luup
