// How rotary positions are scaled, so that a model reads contexts longer than those of its training.
#pragma once

#include "luup_agent.h"

#include "llama.h"

#include <string>

namespace luup {

struct RopeScaling {
    llama_rope_scaling_type type             = LLAMA_ROPE_SCALING_TYPE_UNSPECIFIED;  // as the model's file says
    float                   factor           = 1;
    int32_t                 original_context = 0;  // tokens; 0 = as the model's file says

    bool is_given() const { return type != LLAMA_ROPE_SCALING_TYPE_UNSPECIFIED; }

    const char * type_name() const;

    // Names it in the keys of stored states, with all digits of the factor.
    std::string key() const;

    // Writes it into the parameters of a context.
    void apply(llama_context_params & params) const;
};

// Reads the scaling of the parameters. Throws Error(LUUP_ERROR_INVALID_PARAM) for values that make no sense.
RopeScaling rope_scaling(const luup_model_params & params);

// Throws Error(LUUP_ERROR_INVALID_PARAM) if the model has no rotary positions. The header of the model is enough.
void check_rope_scaling(const llama_model * model, const RopeScaling & scaling);

// Returns the scaling that the model uses if `scaling` is asked for: its file's own if none is. Call it before a
// context is made, since llama.cpp then changes the size of the training context.
RopeScaling used_rope_scaling(const llama_model * model, const RopeScaling & scaling);

}  // namespace luup
