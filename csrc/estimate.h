// What a model will take of memory, told before it is loaded.
#pragma once

#include "luup_agent.h"

#include <string>

namespace luup {

// Lays the model and its context out as a load does, without memory for them. Throws Error.
luup_memory_estimate estimate_memory(const std::string & path, const luup_model_params & params);

}  // namespace luup
