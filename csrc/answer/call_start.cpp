#include "answer/call_start.h"

#include "engine/logits.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <regex>

namespace luup {

namespace {

// Patterns look back that many bytes at most: std::regex recurses with the length of the text.
constexpr size_t pattern_window = 2000;

// A trigger may end up to that many bytes before the end of the text, which is longer than a token's text.
constexpr size_t trigger_window = 64;

// Logits that far below the best one add nothing to the sum.
constexpr float negligible = 20;

llama_token opening_token(const ToolFormat & format) {
    return format.opening_tokens.empty() ? LLAMA_TOKEN_NULL : format.opening_tokens.front();
}

}  // namespace

CallShare call_share(const float * logits, const ToolFormat & format, const Vocabulary & vocabulary) {
    const int32_t     n      = llama_vocab_n_tokens(vocabulary.vocab);
    const double      sum    = log_sum_exp(logits, n);
    const llama_token marker = opening_token(format);
    CallShare         share  = { 0, 0 };
    // A marker that may also begin a text proves nothing.
    if (marker != LLAMA_TOKEN_NULL && !format.shared_start) {
        share.marker = std::exp(logits[marker] - sum);
    }
    share.any = share.marker;
    for (llama_token token = 0; token < n; token++) {
        if (logits[token] < sum - negligible || token == marker) {
            continue;
        }
        const std::string_view bytes = vocabulary.trie->bytes(token);
        if (!bytes.empty() && std::strchr("{[`<", bytes[0])) {
            share.any += std::exp(logits[token] - sum);
        }
    }
    return share;
}

void forbid_call_start(float * logits, const ToolFormat & format, const Vocabulary & vocabulary) {
    const int32_t     n      = llama_vocab_n_tokens(vocabulary.vocab);
    const llama_token marker = opening_token(format);
    for (llama_token token = 0; token < n; token++) {
        const std::string_view bytes = vocabulary.trie->bytes(token);
        const size_t           first = bytes.find_first_not_of(" \n");
        const bool             call  = first != std::string_view::npos && std::strchr("{[`<>", bytes[first]);
        if (call || token == marker) {
            logits[token] = -INFINITY;
        }
    }
}

size_t find_call_start(const std::string & text, const ToolFormat & format) {
    size_t at = std::string::npos;
    for (const std::string & trigger : format.triggers) {
        const size_t from  = text.size() - std::min(text.size(), trigger.size() + trigger_window);
        const size_t found = text.find(trigger, from);
        if (format.only_first && found != text.find_first_not_of(" \n")) {
            continue;
        }
        at = std::min(at, found);
    }
    for (const std::regex & pattern : format.patterns) {
        const std::string window = text.substr(text.size() - std::min(text.size(), pattern_window));
        std::smatch       match;
        if (std::regex_search(window, match, pattern)) {
            const size_t group = match.size() > 1 && match[1].matched ? 1 : 0;
            at                 = std::min(at, text.size() - window.size() + static_cast<size_t>(match.position(group)));
        }
    }
    return at;
}

}  // namespace luup
