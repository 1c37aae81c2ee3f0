// Reads the files of LoRA adapters.
#pragma once

#include "engine/adapters.h"
#include "luup_agent.h"

#include <vector>

namespace luup {

// Loads the adapters of `params` for the model of `path`, to which they belong then. Call it before a context is made.
// Throws Error: LUUP_ERROR_MODEL_NOT_FOUND or LUUP_ERROR_MODEL_LOAD_FAILED, which name the adapter and its file.
std::vector<Adapter> load_adapters(llama_model * model, const luup_model_params & params);

}  // namespace luup
