#include "embed/pooling.h"

#include "base/error.h"
#include "model/weights.h"

#include "llama-ext.h"
#include "llama-model.h"

#include <algorithm>

namespace luup {

namespace {

bool has_tensor(const llama_model * model, const char * wanted) {
    const auto & tensors = llama_internal_get_tensor_map(model);
    return std::any_of(tensors.begin(), tensors.end(), [&](const auto & each) { return each.first == wanted; });
}

}  // namespace

bool has_score_head(const llama_model * model) {
    return has_tensor(model, "cls.output.weight");
}

namespace {

// llama.cpp asserts on these when it tokenizes or pools.
const char * why_not(const llama_model * model, enum llama_pooling_type pooling) {
    const llama_vocab * vocab = llama_model_get_vocab(model);
    if (llama_vocab_type(vocab) == LLAMA_VOCAB_TYPE_NONE || llama_vocab_n_tokens(vocab) == 0) {
        return "it has no vocabulary";
    }
    if (llama_vocab_type(vocab) == LLAMA_VOCAB_TYPE_WPM &&
        (llama_vocab_bos(vocab) == LLAMA_TOKEN_NULL || llama_vocab_sep(vocab) == LLAMA_TOKEN_NULL)) {
        return "its vocabulary has no tokens that begin and end a text";
    }
    if (llama_model_has_encoder(model) && llama_model_has_decoder(model)) {
        return "it has an encoder and a decoder";
    }
    if (llama_model_is_diffusion(model)) {
        return "it is a diffusion model";
    }
    if (pooling == LLAMA_POOLING_TYPE_RANK && !has_tensor(model, "cls.weight") && !has_score_head(model)) {
        return "it should rank texts, but has no weights for the score";
    }
    return nullptr;
}

}  // namespace

enum llama_pooling_type checked_pooling(luup_pooling wanted) {
    switch (wanted) {
        case LUUP_POOLING_DEFAULT: return LLAMA_POOLING_TYPE_UNSPECIFIED;
        case LUUP_POOLING_MEAN: return LLAMA_POOLING_TYPE_MEAN;
        case LUUP_POOLING_CLS: return LLAMA_POOLING_TYPE_CLS;
        case LUUP_POOLING_LAST: return LLAMA_POOLING_TYPE_LAST;
        default:
            fail(LUUP_ERROR_INVALID_PARAM,
                 "pooling must be LUUP_POOLING_DEFAULT, LUUP_POOLING_MEAN, LUUP_POOLING_CLS or LUUP_POOLING_LAST, not "
                 "%d",
                 static_cast<int>(wanted));
    }
}

enum llama_pooling_type choose_pooling(const llama_model * model, const std::string & path,
                                       enum llama_pooling_type wanted) {
    const enum llama_pooling_type of_file = model->hparams.pooling_type;
    const std::string             name    = metadata(model, "general.architecture");
    if (of_file == LLAMA_POOLING_TYPE_RANK && wanted != LLAMA_POOLING_TYPE_UNSPECIFIED) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s is a model that ranks texts: its pooling can't be changed", path.c_str());
    }
    const enum llama_pooling_type pooling = wanted == LLAMA_POOLING_TYPE_UNSPECIFIED ? of_file : wanted;
    if (const char * why = why_not(model, pooling)) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED, "%s (architecture %s) can't make vectors of texts: %s", path.c_str(),
             name.c_str(), why);
    }
    switch (pooling) {
        case LLAMA_POOLING_TYPE_MEAN:
        case LLAMA_POOLING_TYPE_CLS:
        case LLAMA_POOLING_TYPE_LAST:
        case LLAMA_POOLING_TYPE_RANK: return pooling;
        case LLAMA_POOLING_TYPE_NONE:
        case LLAMA_POOLING_TYPE_UNSPECIFIED:
            fail(LUUP_ERROR_MODEL_LOAD_FAILED,
                 "%s (architecture %s) does not say how to make one vector of a text: it has a vector for each token, "
                 "or "
                 "was made to generate text. Choose a pooling to use it anyway: \"mean\", \"cls\" or \"last\"",
                 path.c_str(), name.c_str());
        default:
            fail(LUUP_ERROR_MODEL_LOAD_FAILED, "%s can't be loaded: it has the unknown pooling type %d", path.c_str(),
                 static_cast<int>(pooling));
    }
}

}  // namespace luup
