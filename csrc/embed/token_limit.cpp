#include "embed/token_limit.h"

#include "base/error.h"
#include "tokens/tokenizer.h"

#include <algorithm>

namespace luup {

Tokens TokenLimit::tokenize(const std::string & name, const std::string & text, bool truncate) const {
    Tokens tokens = tokenize_text(vocab_, text, true, false);
    if (tokens.empty()) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s has no tokens: this model can't read an empty text", name.c_str());
    }
    const auto bad = std::find_if(tokens.begin(), tokens.end(), [&](llama_token token) {
        return token < 0 || token >= llama_vocab_n_tokens(vocab_);
    });
    if (bad != tokens.end()) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s has a word that the model's vocabulary can't express", name.c_str());
    }
    const auto limit = static_cast<size_t>(limit_);
    if (tokens.size() <= limit) {
        return tokens;
    }
    if (!truncate) {
        refuse(name, tokens.size());
    }
    const size_t begin  = tokenize_text(vocab_, "", true, false).size();
    const bool   starts = llama_vocab_get_add_bos(vocab_) && begin > 0;
    const size_t end    = std::min(begin - (starts ? 1 : 0), limit);  // tokens that end each text
    tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(limit - end),
                 tokens.end() - static_cast<std::ptrdiff_t>(end));
    return tokens;
}

size_t TokenLimit::count(const std::string & text) const {
    return tokenize_text(vocab_, text, true, false).size();
}

void TokenLimit::refuse(const std::string & name, size_t n_tokens) const {
    fail(LUUP_ERROR_CONTEXT_FULL,
         "%s has %zu tokens, and the model reads at most %d at once: divide it, or truncate it with `truncate`",
         name.c_str(), n_tokens, limit_);
}

}  // namespace luup
