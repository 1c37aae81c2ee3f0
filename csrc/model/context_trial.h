// The trial of settings that change what a context computes with.
#pragma once

#include "luup_agent.h"

#include <string>

namespace luup {

// Checks the types of the cache and the scaling of positions against the model's header. Builds the graph of a step
// with them in a child process, since llama.cpp has architectures whose attention asserts on some types. Call it after
// check_header(). Throws Error(LUUP_ERROR_INVALID_PARAM).
void check_context_settings(const std::string & path, const luup_model_params & params);

}  // namespace luup
