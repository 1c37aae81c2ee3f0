// Reads a model's file into memory, and refuses what this library can't run.
#pragma once

#include "base/mapped_files.h"
#include "device/placement.h"
#include "luup_agent.h"
#include "model/known_file.h"
#include "model/stored_weights.h"
#include "model/weights_cache.h"

#include "llama-cpp.h"

#include <string>
#include <vector>

namespace luup {

// Returns the files of a model: `path`, and the other parts if it is the first part of a split model.
std::vector<std::string> model_files(const std::string & path);

// file_key() of all files of a model. Throws an Error that names a missing one.
std::string files_key(const std::string & path);

// The files that loads of the same model keep for one another.
struct KeptWeights {
    KeptWeights(const std::string & path, const luup_model_params & params)
        : cache(params.weights_cache, params.weights_cache_size), known(cache.folder(), model_files(path)) {}

    WeightsCache cache;
    KnownFile    known;
    StoredSizes  sizes;        // of the weights that were loaded
    bool         mtp = false;  // load the model's heads, too
};

// Never null. `files` are those of the model, and get those of the cache. Throws Error, LUUP_ERROR_CANCELLED if
// params.progress returns false.
llama_model_ptr load_weights(const std::string & path, const luup_model_params & params, Placement & placement,
                             MappedFiles & files, KeptWeights & kept);

// Throws the Error for a file that llama.cpp could not load: LUUP_ERROR_OUT_OF_MEMORY or LUUP_ERROR_MODEL_LOAD_FAILED.
[[noreturn]] void fail_load(const std::string & path, const std::string & log);

// Throws Error(LUUP_ERROR_MODEL_LOAD_FAILED) for models that llama.cpp loads, but asserts on when it is to decode.
void check_can_generate(const llama_model * model, const std::string & path);

// Throws Error(LUUP_ERROR_OUT_OF_MEMORY) if the KV cache of the context is larger than the memory left: Linux would
// promise it and kill the process that uses it.
void check_context_memory(const llama_model * model, const llama_context_params & context);

// A text of the file's metadata; "" if there is none.
std::string metadata(const llama_model * model, const std::string & key);

}  // namespace luup
