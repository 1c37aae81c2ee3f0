// Estimates the memory of a model before it is loaded.
#pragma once

#include "luup_agent.h"

#include <string>

namespace luup {

// Lays out the model and its context as a load would, without allocating them. All fields but `size`. Throws Error.
luup_memory_estimate estimate_memory(const std::string & path, const luup_model_params & params);

}  // namespace luup
