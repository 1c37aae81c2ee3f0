// The types of numbers that the KV cache keeps keys and values in.
#pragma once

#include "luup_agent.h"

#include "llama.h"

#include <string>

namespace luup {

struct CacheTypes {
    ggml_type keys   = GGML_TYPE_F16;
    ggml_type values = GGML_TYPE_F16;

    bool are_default() const { return keys == GGML_TYPE_F16 && values == GGML_TYPE_F16; }

    // Such as "q8_0 keys and f16 values".
    std::string text() const;
};

// Reads the types of the parameters. Throws Error(LUUP_ERROR_INVALID_PARAM) for a name that llama.cpp does not know.
CacheTypes cache_types(const luup_model_params & params);

// Throws Error(LUUP_ERROR_INVALID_PARAM) if the model's attention can't use the types. The header of the model is
// enough.
void check_cache_types(const llama_model * model, const CacheTypes & types);

}  // namespace luup
