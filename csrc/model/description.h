// The description of a loaded model: its file, its kind, its sizes and its device.
#pragma once

#include "model/model.h"

#include "llama.h"

#include <string>

namespace luup {

// Fills in the fields that follow from the file at `path` and from `gpu_layers` of the load's parameters: neither the
// context nor the threads. Call it before a context is made: with YaRN, llama.cpp then changes the size of the training
// context.
void describe_model(const llama_model * model, const std::string & path, int32_t gpu_layers, ModelInfo & info);

}  // namespace luup
