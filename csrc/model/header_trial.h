// The trial of a model's header, before its weights are read.
#pragma once

#include "base/child_trial.h"
#include "model/known_file.h"

#include "llama-cpp.h"

#include <optional>
#include <string>

namespace luup {

constexpr TrialLimits header_limits = { 60, size_t(4) << 30 };  // of the trial

// Loads the header without the weights, with `mtp` that of its heads, too; null if it can't be loaded.
llama_model_ptr read_header(const std::string & path, bool mtp = false);

// The parameters of a context that takes little memory.
llama_context_params smallest_context();

// Reads the header in a child process, checks it and builds the graph of a step: llama.cpp asserts on some damaged or
// absurd ones, and an assertion ends the process. Throws Error(LUUP_ERROR_MODEL_LOAD_FAILED) with the reason if the
// header is damaged. With `pooling`, the step is one of a model that makes vectors. Call load_backends() before.
// `known` keeps that a header is good, so that the next load need not try it.
void check_header(const std::string & path, KnownFile & known,
                  std::optional<enum llama_pooling_type> pooling = std::nullopt);

}  // namespace luup
