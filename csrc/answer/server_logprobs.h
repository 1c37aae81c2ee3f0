// The probabilities of tokens that a server sends with an answer.
#pragma once

#include "base/json.h"

#include <string>

namespace luup {

// Returns the entries of `logprobs.content` of a choice as JSON objects joined by commas, in the form of
// probabilities_json(); "" if the chunk has no probabilities. Entries of another form are left out.
std::string read_logprobs(const Json & logprobs);

}  // namespace luup
