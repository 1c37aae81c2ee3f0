#include "model/draft.h"

#include "base/error.h"
#include "device/placement.h"
#include "model/load_params.h"
#include "model/weights.h"

#include <algorithm>
#include <cstring>

namespace luup {

namespace {

// Vocabularies are often padded to a round number of tokens.
constexpr int32_t padding = 128;

std::string quoted(const llama_vocab * vocab, llama_token token) {
    const char * text = llama_vocab_get_text(vocab, token);
    return "'" + std::string(text ? text : "").substr(0, 40) + "'";
}

// Returns how the vocabularies differ; "" if they are the same but for their padding.
std::string difference(const llama_vocab * target, const llama_vocab * draft) {
    const int32_t sizes[] = { llama_vocab_n_tokens(target), llama_vocab_n_tokens(draft) };
    if (llama_vocab_type(target) != llama_vocab_type(draft)) {
        return "their tokenizers are of different kinds";
    }
    if (std::abs(sizes[0] - sizes[1]) > padding) {
        return std::to_string(sizes[1]) + " tokens there, " + std::to_string(sizes[0]) + " here";
    }
    for (llama_token token = 0; token < std::min(sizes[0], sizes[1]); token++) {
        const char * texts[] = { llama_vocab_get_text(target, token), llama_vocab_get_text(draft, token) };
        if (!texts[0] || !texts[1] || std::strcmp(texts[0], texts[1]) != 0) {
            return "token " + std::to_string(token) + " is " + quoted(draft, token) + " there, " +
                   quoted(target, token) + " here";
        }
    }
    return "";
}

}  // namespace

luup_model_params draft_params(const luup_model_params & params) {
    luup_model_params own = params;
    own.draft             = nullptr;
    own.mmproj            = nullptr;
    own.adapters          = nullptr;
    own.n_adapters        = 0;
    own.rope_scaling      = nullptr;
    own.cache_type_k = own.cache_type_v = nullptr;
    own.progress                        = nullptr;
    // The model itself may be on other machines; its draft must answer faster than they do.
    own.rpc_servers   = nullptr;
    own.n_rpc_servers = 0;
    return own;
}

Draft load_draft(const llama_model * target, const std::string & path, const luup_model_params & params) {
    const std::string       file = params.draft;
    const luup_model_params own  = draft_params(params);
    Draft                   draft;
    try {
        KeptWeights kept(file, own);
        check_load(file, own, kept.known);
        Placement placement(own);
        draft.files = std::make_unique<MappedFiles>(own.use_mmap ? model_files(file) : std::vector<std::string>());
        draft.model = load_weights(file, own, placement, *draft.files, kept);
        check_can_generate(draft.model.get(), file);
    } catch (const Error & error) {
        fail(error.code(), "the draft model: %s", error.what());
    }
    if (llama_model_is_recurrent(draft.model.get()) || llama_model_is_hybrid(draft.model.get())) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED,
             "%s can't be a draft model: it has recurrent layers, whose state can't go back when a guess was wrong",
             file.c_str());
    }
    const std::string why = difference(llama_model_get_vocab(target), llama_model_get_vocab(draft.model.get()));
    if (!why.empty()) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED,
             "%s can't be the draft model of %s: their vocabularies differ (%s). Take a smaller model of the same "
             "family",
             file.c_str(), path.c_str(), why.c_str());
    }
    return draft;
}

}  // namespace luup
