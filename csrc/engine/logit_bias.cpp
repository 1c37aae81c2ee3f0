#include "engine/logit_bias.h"

#include "base/error.h"
#include "base/json.h"
#include "tokens/tokenizer.h"

#include <algorithm>

namespace luup {

namespace {

constexpr size_t most_shown = 8;  // tokens of a text

std::string text_shown(const std::string & text) {
    return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string list_of(const llama_vocab * vocab, const std::vector<llama_token> & tokens) {
    std::string list;
    for (size_t i = 0; i < std::min(tokens.size(), most_shown); i++) {
        list += (i > 0 ? ", " : "") + std::to_string(tokens[i]) + " (" +
                text_shown(token_bytes(vocab, tokens[i], true)) + ")";
    }
    return list + (tokens.size() > most_shown ? ", ..." : "");
}

}  // namespace

void resolve_logit_bias(std::vector<LogitBias> & biases, const llama_vocab * vocab,
                        const std::function<llama_token(std::string_view)> & find) {
    const int32_t size = llama_vocab_n_tokens(vocab);
    for (LogitBias & bias : biases) {
        if (bias.text.empty()) {
            if (bias.token < 0 || bias.token >= size) {
                fail(LUUP_ERROR_INVALID_PARAM, "logit_bias: there is no token %d; this model has the tokens 0 to %d",
                     bias.token, size - 1);
            }
            continue;
        }
        bias.token = find(bias.text);
        if (bias.token == LLAMA_TOKEN_NULL) {
            const auto tokens = tokenize_text(vocab, bias.text, false, false);
            fail(
                LUUP_ERROR_INVALID_PARAM,
                "logit_bias: the text %s is not one token of this model but %zu, %s: give a text that is one token, or "
                "the numbers of tokens",
                text_shown(bias.text).c_str(), tokens.size(), list_of(vocab, tokens).c_str());
        }
        bias.text.clear();
    }
}

}  // namespace luup
