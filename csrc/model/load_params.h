// The parameters of a load: their checks, and the llama.cpp parameters that follow from them.
#pragma once

#include "luup_agent.h"
#include "model/known_file.h"

#include "llama.h"

#include <cstdint>
#include <optional>
#include <string>

namespace luup {

// Checks the parameters, the file and its header, and loads the backends: everything that can be known before weights
// are read. With `pooling`, for a model that makes vectors. Throws Error.
void check_load(const std::string & path, const luup_model_params & params, KnownFile & known,
                std::optional<enum llama_pooling_type> pooling = std::nullopt);

// The context that the model gets: LUUP_CONTEXT_SIZE_DEFAULT becomes its training context, at most 8,192 tokens. Call
// it before a context is made: with YaRN, llama.cpp then changes the size of the training context. `guesses`: a draft
// model or the model's own heads guess tokens, so that a recurrent state must go back where they were wrong.
llama_context_params context_params(const llama_model * model, const luup_model_params & params, bool guesses);

// The number of tokens that a recurrent state goes back at most, where llama.cpp can do that.
constexpr uint32_t recurrent_states = 2;

}  // namespace luup
