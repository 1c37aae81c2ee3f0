#include "model/cache_type.h"

#include "base/error.h"

#include "llama-model.h"

#include <cstring>

namespace luup {

namespace {

// As in llama.cpp's common/arg.cpp: the quantizations that tensors can be written in while the model runs.
constexpr ggml_type types[] = { GGML_TYPE_F32,  GGML_TYPE_F16,  GGML_TYPE_BF16, GGML_TYPE_Q8_0,  GGML_TYPE_Q5_1,
                                GGML_TYPE_Q5_0, GGML_TYPE_Q4_1, GGML_TYPE_Q4_0, GGML_TYPE_IQ4_NL };

constexpr const char * remedy = "use \"f16\", \"bf16\" or \"f32\"";

ggml_type type_of(const char * name, const char * of) {
    if (!name) {
        return GGML_TYPE_F16;
    }
    std::string names;
    for (const ggml_type type : types) {
        if (std::strcmp(name, ggml_type_name(type)) == 0) {
            return type;
        }
        names += (names.empty() ? "\"" : ", \"") + std::string(ggml_type_name(type)) + "\"";
    }
    fail(LUUP_ERROR_INVALID_PARAM, "the cache_type of %s must be one of %s, not \"%.40s\"", of, names.c_str(), name);
}

// A head's numbers are quantized in whole blocks.
void check_head(ggml_type type, uint32_t size, const char * of) {
    if (size % static_cast<uint32_t>(ggml_blck_size(type)) != 0) {
        fail(LUUP_ERROR_INVALID_PARAM,
             "the cache_type of %s can't be \"%s\" with this model: its heads have %u numbers, not a multiple of the "
             "%lld in a block of this type; %s",
             of, ggml_type_name(type), size, static_cast<long long>(ggml_blck_size(type)), remedy);
    }
}

}  // namespace

std::string CacheTypes::text() const {
    return std::string(ggml_type_name(keys)) + " keys and " + ggml_type_name(values) + " values";
}

CacheTypes cache_types(const luup_model_params & params) {
    return { type_of(params.cache_type_k, "keys"), type_of(params.cache_type_v, "values") };
}

void check_cache_types(const llama_model * model, const CacheTypes & types) {
    const llama_hparams & h = model->hparams;
    if ((h.is_mla() || model->arch == LLM_ARCH_DEEPSEEK4) && types.keys != types.values) {
        fail(LUUP_ERROR_INVALID_PARAM,
             "cache_type must be the same for keys and values with this model, which keeps both in one tensor, not "
             "\"%s\" and \"%s\"",
             ggml_type_name(types.keys), ggml_type_name(types.values));
    }
    if (ggml_is_quantized(types.values) && model->arch == LLM_ARCH_GROK) {
        fail(LUUP_ERROR_INVALID_PARAM,
             "the cache_type of values can't be \"%s\" with this model: quantized values need flash attention, which "
             "llama.cpp does not have for the architecture grok; %s",
             ggml_type_name(types.values), remedy);
    }
    for (uint32_t layer = 0; layer < h.n_layer(); layer++) {
        check_head(types.keys, h.n_embd_head_k(layer), "keys");
        check_head(types.values, h.n_embd_head_v(layer), "values");
    }
}

}  // namespace luup
