// Texts as tokens that a model can read at once.
#pragma once

#include "llama.h"

#include <cstddef>
#include <string>
#include <vector>

namespace luup {

using Tokens = std::vector<llama_token>;

// How texts are tokenized for a model.
class TokenLimit {
  public:
    TokenLimit(const llama_vocab * vocab, int32_t limit) : vocab_(vocab), limit_(limit) {}

    int32_t limit() const { return limit_; }

    // Returns the tokens of a text, with those that begin and end it. Names of control tokens in it stay text. Throws
    // Error(LUUP_ERROR_CONTEXT_FULL) with `name` if they are more than the limit, unless `truncate`: then the last ones
    // of the text are left out.
    Tokens tokenize(const std::string & name, const std::string & text, bool truncate) const;

    // Returns the number of tokens of a text, whether it fits or not.
    size_t count(const std::string & text) const;

    // Throws the Error for a text of too many tokens.
    [[noreturn]] void refuse(const std::string & name, size_t n_tokens) const;

  private:
    const llama_vocab * vocab_;
    int32_t             limit_;
};

}  // namespace luup
