// The draft model of a local model: a smaller one with the same vocabulary.
#pragma once

#include "base/mapped_files.h"
#include "luup_agent.h"

#include "llama-cpp.h"

#include <memory>
#include <string>

namespace luup {

// The parameters of the draft model's own load, which are few of those of its model.
luup_model_params draft_params(const luup_model_params & params);

struct Draft {
    std::unique_ptr<MappedFiles> files;  // outlives the model
    llama_model_ptr              model;
};

// Loads params.draft for the model `target`, which was loaded from `path` with these parameters. Throws Error, also if
// the two models have different vocabularies: then their tokens mean different texts.
Draft load_draft(const llama_model * target, const std::string & path, const luup_model_params & params);

}  // namespace luup
