// Biases that a caller puts on tokens, given by number or by text.
#pragma once

#include "llama.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace luup {

struct LogitBias {
    llama_token token = LLAMA_TOKEN_NULL;  // unknown as long as there is a text
    std::string text;                      // "" if the token is given by its number
    float       bias = 0;
};

// Replaces the texts of `biases` by the tokens that have exactly these texts: `find` returns them, or LLAMA_TOKEN_NULL.
// Throws Error(LUUP_ERROR_INVALID_PARAM) if there is none, or no token of that number.
void resolve_logit_bias(std::vector<LogitBias> & biases, const llama_vocab * vocab,
                        const std::function<llama_token(std::string_view)> & find);

}  // namespace luup
