// How a model makes one vector of the vectors of a text's tokens, and which models can.
#pragma once

#include "luup_agent.h"

#include "llama.h"

#include <string>

namespace luup {

// Checks the caller's choice; LUUP_POOLING_DEFAULT becomes "unspecified". Throws Error(LUUP_ERROR_INVALID_PARAM).
enum llama_pooling_type checked_pooling(luup_pooling wanted);

// Returns the pooling of a loaded model: `wanted`, or that of its file. Throws Error for a model without a vocabulary
// or that llama.cpp can't pool, and if neither the file nor the caller says how.
enum llama_pooling_type choose_pooling(const llama_model * model, const std::string & path,
                                       enum llama_pooling_type wanted);

// Whether a model that ranks has weights whose results are the scores alone.
bool has_score_head(const llama_model * model);

}  // namespace luup
