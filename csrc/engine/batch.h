// The tokens of one decode.
#pragma once

#include "llama.h"

#include <cstddef>
#include <cstdint>

namespace luup {

class Batch {
  public:
    explicit Batch(int32_t capacity) : batch_(llama_batch_init(capacity, 0, 1)) {}
    ~Batch() { llama_batch_free(batch_); }
    Batch(const Batch &)             = delete;
    Batch & operator=(const Batch &) = delete;

    void clear() {
        batch_.n_tokens = 0;
        outputs_        = 0;
    }

    // Adds a token. `output`: the decode has to give its row of logits. Returns its index.
    int32_t add(llama_token token, llama_pos position, llama_seq_id sequence, bool output) {
        const int32_t at     = batch_.n_tokens++;
        batch_.token[at]     = token;
        batch_.pos[at]       = position;
        batch_.n_seq_id[at]  = 1;
        batch_.seq_id[at][0] = sequence;
        batch_.logits[at]    = output;
        outputs_ += output;
        return at;
    }

    int32_t             size() const { return batch_.n_tokens; }
    int32_t             outputs() const { return outputs_; }
    const llama_batch & get() const { return batch_; }

  private:
    llama_batch batch_;
    int32_t     outputs_ = 0;  // rows of logits that it asks for
};

}  // namespace luup
