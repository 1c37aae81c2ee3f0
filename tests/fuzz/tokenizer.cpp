// A text of a message. Whatever it contains, the tokens are those of text, and give the text again.
#include "tokens/tokenizer.h"

#include "base/text.h"
#include "target.h"
#include "vocabulary.h"

#include <algorithm>
#include <set>
#include <string>

using namespace luup;

namespace {

// The bytes that the vocabulary has a token for; a few control characters may have none.
std::set<char> known_bytes() {
    std::set<char> known;
    for (llama_token token = 0; token < llama_vocab_n_tokens(vocab()); token++) {
        const std::string bytes = token_bytes(vocab(), token, false);
        if (bytes.size() == 1) {
            known.insert(bytes[0]);
        }
    }
    return known;
}

}  // namespace

FUZZ_TARGET() {
    static const PromptTokenizer tokenizer(vocab(), "<|im_start|>user\n{{ message }}<|im_end|>");
    if (utf8_find_invalid(input) != std::string_view::npos) {
        return;  // messages are valid UTF-8
    }
    static const std::set<char> known = known_bytes();
    if (!std::all_of(input.begin(), input.end(), [](char c) { return known.count(c); })) {
        return;
    }
    const std::string text(input);
    const std::string seal   = tokenizer.choose_seal({ text });
    const std::string sealed = "<|im_start|>user\n" + tokenizer.seal_text(text, seal) + "<|im_end|>";
    std::string       bytes;
    int               controls = 0;
    for (const llama_token token : tokenizer.tokenize(sealed, seal, nullptr)) {
        controls += llama_vocab_is_control(vocab(), token);
        bytes += token_bytes(vocab(), token, true);
    }
    MUST(controls == 2);
    MUST(bytes == "<|im_start|>user\n" + text + "<|im_end|>");
}
