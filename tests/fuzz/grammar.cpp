// A grammar in GBNF and a text. Copies of a matcher are independent, and a forced text is allowed.
#include "grammar/grammar.h"

#include "grammar/matcher.h"
#include "target.h"
#include "vocabulary.h"

using namespace luup;

// grammar, text
FUZZ_TARGET() {
    const auto parts   = split(input, 2);
    const auto grammar = Grammar::parse(std::string(parts[0]), vocab());
    Matcher    matcher(grammar, trie());
    for (const char c : parts[1]) {
        const std::string forced = matcher.forced();
        MUST(Matcher(matcher).accept_text(forced));
        Matcher ahead = matcher;
        if (ahead.accept_text({ &c, 1 })) {
            MUST(!matcher.must_end() && (forced.empty() || forced[0] == c));
            MUST(matcher.accept_text({ &c, 1 }));
        }
    }
    std::vector<llama_token> tokens;
    matcher.allowed(tokens, 64);
    for (const llama_token token : tokens) {
        MUST(matcher.allows(token));
    }
}
