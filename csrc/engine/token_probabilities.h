// How probable a chosen token was, and the tokens that were likelier or next to it.
#pragma once

#include "llama.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace luup {

struct TokenProbabilities {
    llama_token                                 token;
    double                                      logprob;
    std::vector<std::pair<llama_token, double>> top;  // the likeliest tokens with theirs, the likeliest first
};

// Returns the log-probability of `token` in the softmax of a whole row of logits, and those of the `top` likeliest
// tokens. `scratch` is kept between calls for its memory.
TokenProbabilities token_probabilities(const std::vector<float> & logits, llama_token token, size_t top,
                                       std::vector<llama_token> & scratch);

// Returns them as a JSON object in the form of OpenAI's `logprobs.content`, with the token's number as "id".
std::string probabilities_json(const TokenProbabilities & probabilities, const llama_vocab * vocab);

}  // namespace luup
