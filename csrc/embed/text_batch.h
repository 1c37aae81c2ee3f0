// A batch of whole texts for llama.cpp.
#pragma once

#include "embed/token_limit.h"

#include "llama.h"

#include <cstdint>
#include <vector>

namespace luup {

class TextBatch {
  public:
    void clear();

    // Adds a text as the sequence `id`.
    void add(const Tokens & text, llama_seq_id id);

    // Valid until the next clear() or add().
    llama_batch view();

  private:
    Tokens                      tokens_;
    std::vector<llama_pos>      positions_;
    std::vector<llama_seq_id>   ids_;
    std::vector<int32_t>        counts_;
    std::vector<int8_t>         outputs_;
    std::vector<llama_seq_id *> sequences_;
};

}  // namespace luup
