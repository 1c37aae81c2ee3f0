#include "model/rope_scaling.h"

#include "base/error.h"

#include "llama-model.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>

namespace luup {

namespace {

// llama.cpp multiplies the two and keeps the product in 32 bits.
constexpr float   most_factor  = 1000;
constexpr int32_t most_context = 1 << 22;

}  // namespace

const char * RopeScaling::type_name() const {
    switch (type) {
        case LLAMA_ROPE_SCALING_TYPE_LINEAR: return "linear";
        case LLAMA_ROPE_SCALING_TYPE_YARN: return "yarn";
        case LLAMA_ROPE_SCALING_TYPE_LONGROPE: return "longrope";
        default: return "none";
    }
}

std::string RopeScaling::key() const {
    std::array<char, 64> text = {};
    std::snprintf(text.data(), text.size(), "%s %a %d", type_name(), static_cast<double>(factor), original_context);
    return text.data();
}

void RopeScaling::apply(llama_context_params & params) const {
    if (is_given()) {
        params.rope_scaling_type = type;
        params.rope_freq_scale   = 1.0f / factor;
        params.yarn_orig_ctx     = static_cast<uint32_t>(original_context);
    }
}

RopeScaling rope_scaling(const luup_model_params & params) {
    RopeScaling scaling;
    if (!params.rope_scaling) {
        if (params.rope_factor != 1 || params.rope_original_context != 0) {
            fail(LUUP_ERROR_INVALID_PARAM,
                 "rope_factor and rope_original_context need a rope_scaling: give \"yarn\" or \"linear\"");
        }
        return scaling;
    }
    if (std::strcmp(params.rope_scaling, "yarn") == 0) {
        scaling.type = LLAMA_ROPE_SCALING_TYPE_YARN;
    } else if (std::strcmp(params.rope_scaling, "linear") == 0) {
        scaling.type = LLAMA_ROPE_SCALING_TYPE_LINEAR;
    } else {
        fail(LUUP_ERROR_INVALID_PARAM, "the type of rope_scaling must be \"yarn\" or \"linear\", not \"%.40s\"",
             params.rope_scaling);
    }
    scaling.factor           = params.rope_factor;
    scaling.original_context = params.rope_original_context;
    if (!(scaling.factor >= 1 && scaling.factor <= most_factor)) {  // not a number either
        fail(LUUP_ERROR_INVALID_PARAM, "the factor of rope_scaling must be between 1 and %g, not %g",
             static_cast<double>(most_factor), static_cast<double>(scaling.factor));
    }
    if (scaling.original_context < 0 || scaling.original_context > most_context) {
        fail(LUUP_ERROR_INVALID_PARAM,
             "the original context of rope_scaling must be between 1 and %d tokens, or 0 for the model's own, not %d",
             most_context, scaling.original_context);
    }
    return scaling;
}

void check_rope_scaling(const llama_model * model, const RopeScaling & scaling) {
    if (scaling.is_given() && llama_model_rope_type(model) == LLAMA_ROPE_TYPE_NONE) {
        fail(LUUP_ERROR_INVALID_PARAM,
             "rope_scaling can't be used with this model: its architecture, %s, has no rotary positions",
             model->arch_name().c_str());
    }
}

RopeScaling used_rope_scaling(const llama_model * model, const RopeScaling & scaling) {
    const llama_hparams & h    = model->hparams;
    RopeScaling           used = scaling;
    if (!used.is_given()) {
        used.type   = h.rope_scaling_type_train;
        used.factor = 1.0f / h.rope_freq_scale_train;
    }
    const bool unscaled = used.type == LLAMA_ROPE_SCALING_TYPE_LINEAR && used.factor == 1;
    if (llama_model_rope_type(model) == LLAMA_ROPE_TYPE_NONE || used.type == LLAMA_ROPE_SCALING_TYPE_NONE || unscaled) {
        used = { LLAMA_ROPE_SCALING_TYPE_NONE, 1, 0 };
    }
    if (used.original_context == 0) {
        used.original_context = static_cast<int32_t>(h.n_ctx_orig_yarn != 0 ? h.n_ctx_orig_yarn : h.n_ctx_train);
    }
    return used;
}

}  // namespace luup
