// The vocabulary of a model: the text of each token, the token of each text, the tokens that end an answer.
#pragma once

#include "tokens/token_trie.h"

#include "llama.h"

#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace luup {

// Immutable, made once per model and shared by all answers.
struct Vocabulary {
    explicit Vocabulary(const llama_vocab * vocab);

    const llama_vocab *              vocab;
    std::shared_ptr<const TokenTrie> trie;
    std::vector<llama_token>         ends;  // end-of-generation tokens, the usual one first

    // Returns the token with exactly this text, or LLAMA_TOKEN_NULL.
    llama_token find(std::string_view text) const;

  private:
    std::unordered_map<std::string_view, llama_token> by_text_;
};

}  // namespace luup
