#include "tokens/vocabulary.h"

#include <algorithm>

namespace luup {

Vocabulary::Vocabulary(const llama_vocab * v) : vocab(v), trie(std::make_shared<const TokenTrie>(v)) {
    for (llama_token token : { llama_vocab_eot(v), llama_vocab_eos(v) }) {
        if (token != LLAMA_TOKEN_NULL && llama_vocab_is_eog(v, token) &&
            std::find(ends.begin(), ends.end(), token) == ends.end()) {
            ends.push_back(token);
        }
    }
    for (llama_token token = 0; token < llama_vocab_n_tokens(v); token++) {
        if (llama_vocab_is_eog(v, token) && std::find(ends.begin(), ends.end(), token) == ends.end()) {
            ends.push_back(token);
        }
    }
    by_text_.reserve(static_cast<size_t>(llama_vocab_n_tokens(v)));
    for (llama_token token = 0; token < llama_vocab_n_tokens(v); token++) {
        if (!trie->bytes(token).empty()) {
            by_text_.emplace(trie->bytes(token), token);
        }
    }
}

llama_token Vocabulary::find(std::string_view text) const {
    const auto found = by_text_.find(text);
    return found == by_text_.end() ? LLAMA_TOKEN_NULL : found->second;
}

}  // namespace luup
