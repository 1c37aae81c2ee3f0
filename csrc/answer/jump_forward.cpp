#include "answer/jump_forward.h"

#include "tokens/tokenizer.h"

#include <algorithm>

namespace luup {

namespace {

using Tokens = std::vector<llama_token>;

// The tokens of `text` as the model would write it: with the format's markers as the control tokens that they are.
Tokens tokens_of(std::string_view text, const llama_vocab * vocab, const Tokens & markers) {
    Tokens     tokens;
    size_t     plain     = 0;  // where the text behind the last marker begins
    const auto add_plain = [&](size_t end) {
        const auto more = tokenize_text(vocab, text.substr(plain, end - plain), false, false);
        tokens.insert(tokens.end(), more.begin(), more.end());
    };
    for (size_t at = 0; at < text.size();) {
        const auto begins = [&](llama_token token) {
            const std::string name = token_bytes(vocab, token, true);
            return !name.empty() && text.compare(at, name.size(), name) == 0;
        };
        const auto marker = std::find_if(markers.begin(), markers.end(), begins);
        if (marker == markers.end()) {
            at++;
            continue;
        }
        add_plain(at);
        tokens.push_back(*marker);
        plain = at += token_bytes(vocab, *marker, true).size();
    }
    add_plain(text.size());
    return tokens;
}

}  // namespace

std::string visible_text(llama_token token, const Vocabulary & vocabulary, const std::vector<llama_token> & markers) {
    return std::find(markers.begin(), markers.end(), token) != markers.end()
               ? token_bytes(vocabulary.vocab, token, true)
               : std::string(vocabulary.trie->bytes(token));
}

bool jump_forward(const std::string & text, Constraint & constraint, const Vocabulary & vocabulary,
                  const Tokens & markers, Tokens & tokens) {
    if (text.size() < 2) {
        return false;
    }
    Tokens     dictated = tokens_of(text, vocabulary.vocab, markers);
    Constraint after    = constraint;
    after.accept_text(text);
    if (!after.must_end()) {
        dictated.pop_back();
    }
    size_t at = 0;
    for (llama_token token : dictated) {
        const std::string bytes = visible_text(token, vocabulary, markers);
        if (bytes.empty() || text.compare(at, bytes.size(), bytes) != 0) {
            return false;  // the vocabulary puts a blank before every text
        }
        at += bytes.size();
    }
    if (dictated.empty() || !constraint.accept_text(std::string_view(text).substr(0, at))) {
        return false;
    }
    tokens = std::move(dictated);
    return true;
}

}  // namespace luup
