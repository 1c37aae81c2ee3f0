#include "matching.h"

#include "check.h"
#include "vocabulary.h"
#include "base/error.h"
#include "base/text.h"

#include "llama.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <utility>

using namespace luup;

std::vector<std::string> & grammar_files() {
    static std::vector<std::string> files;
    return files;
}

bool is_refused(const std::string & gbnf) {
    try {
        Grammar::parse(gbnf, vocab());
    } catch (const Error & error) {
        CHECK(error.code() == LUUP_ERROR_INVALID_SCHEMA);
        return true;
    }
    return false;
}

namespace {

// Whether the text that the matcher says must come is the longest one for which that is so.
void check_forced(const Matcher & matcher) {
    const std::string text = matcher.forced();
    CHECK(text.size() <= 256 && utf8_find_invalid(text) == std::string_view::npos);
    Matcher at = matcher;
    for (size_t i = 0; i <= text.size(); i++) {
        std::vector<char> bytes;
        for (int byte = 0; byte < 256; byte++) {
            const char c = static_cast<char>(byte);
            if (Matcher(at).accept_text({ &c, 1 })) {
                bytes.push_back(c);
            }
        }
        if (i < text.size()) {
            CHECK(!at.can_end() && bytes.size() == 1 && bytes[0] == text[i]);
            CHECK(at.accept_text({ &text[i], 1 }));
        } else if (text.size() <= 252 && !at.can_end() && bytes.size() == 1) {
            // Only a choice inside the character keeps it out, or a token by its name.
            std::vector<llama_token> tokens;
            at.allowed(tokens);
            CHECK(static_cast<uint8_t>(bytes[0]) >= 0x80 ||
                  std::any_of(tokens.begin(), tokens.end(), [&](llama_token t) {
                      return trie()->bytes(t).substr(0, 1) != std::string_view(bytes.data(), 1);
                  }));
        }
    }
}

}  // namespace

std::vector<uint8_t> check_allowed(const Matcher & matcher) {
    std::vector<uint8_t>     one_by_one(static_cast<size_t>(trie()->size()));
    std::vector<llama_token> all;
    CHECK(matcher.allowed(all));
    size_t n = 0;
    for (llama_token token = 0; token < trie()->size(); token++) {
        one_by_one[token] = matcher.allows(token);
        n += one_by_one[token] && !trie()->is_end(token);
        CHECK(!trie()->is_end(token) || one_by_one[token] == matcher.can_end());
    }
    CHECK(all.size() == n);
    for (llama_token token : all) {
        CHECK(one_by_one[token] && !trie()->is_end(token));
    }
    std::vector<llama_token> few;
    CHECK(matcher.allowed(few, 5) == (n <= 5) && few.size() == std::min<size_t>(n, 6));
    CHECK(matcher.must_end() == (matcher.can_end() && n == 0));
    check_forced(matcher);
    return one_by_one;
}
