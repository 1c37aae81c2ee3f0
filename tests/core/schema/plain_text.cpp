// Grammars of plain texts: they allow what the regular expression matches, and nothing else.
#include "schema/plain_text.h"

#include "base/error.h"
#include "check.h"
#include "grammar/grammar.h"

#include <random>
#include <string>
#include <vector>

using namespace luup;

namespace {

const std::string letters = "ab1 -";

// A random expression over a few letters, without look-around and anchors.
std::string random_expression(std::mt19937 & random, int depth) {
    const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    if (depth == 0 || pick(4) == 0) {
        static const std::vector<std::string> atoms = {
            "a", "b", "1", " ", "-", "[ab]", "[^a]", "\\d", "\\w", "[a-b1]"
        };
        return atoms[static_cast<size_t>(pick(static_cast<int>(atoms.size())))];
    }
    static const std::vector<std::string> marks = { "*", "+", "?", "{2}", "{1,2}", "{0,3}" };
    switch (pick(3)) {
        case 0: return random_expression(random, depth - 1) + random_expression(random, depth - 1);
        case 1: return "(?:" + random_expression(random, depth - 1) + "|" + random_expression(random, depth - 1) + ")";
        default:
            return "(" + random_expression(random, depth - 1) + ")" +
                   marks[static_cast<size_t>(pick(static_cast<int>(marks.size())))];
    }
}

std::vector<std::string> all_texts(size_t longest) {
    std::vector<std::string> texts = { "" };
    for (size_t i = 0; i < texts.size() && texts[i].size() < longest; i++) {
        for (const char c : letters) {
            texts.push_back(texts[i] + c);
        }
    }
    return texts;
}

std::string refusal(const std::string & source) {
    try {
        TextPattern(source).grammar();
    } catch (const Error & e) {
        CHECK(e.code() == LUUP_ERROR_INVALID_SCHEMA);
        return e.what();
    }
    return "";
}

}  // namespace

CASE(a_grammar_allows_the_texts_that_an_expression_matches_as_a_whole) {
    const auto   texts = all_texts(4);
    std::mt19937 random(7);
    size_t       matched = 0;
    for (int i = 0; i < 300; i++) {
        const std::string source = random_expression(random, 3);
        const TextPattern pattern(source);
        const auto        grammar = Grammar::parse(pattern.grammar(), nullptr);
        for (const std::string & text : texts) {
            CHECK(grammar->matches(text) == pattern.matches(text));
            matched += pattern.matches(text);
        }
    }
    CHECK(matched > 1000);
}

CASE(an_expression_matches_the_whole_text) {
    struct Pair {
        const char * source;
        const char * text;
        bool         matches;
    };
    const std::vector<Pair> pairs = {
        { "a|b", "b", true },
        { "a|b", "ab", false },
        { "^a$|^b$", "a", true },
        { "^a+", "aab", false },
        { "(?i)yes|no", "NO", true },
        { "^(?i)yes", "YES", true },
        { "(?!aa)a+", "aaa", false },
        { "(?!aa)a+", "a", true },
        { "^(?=.*1)[a1]{2}", "a1", true },
        { "^(?=.*1)[a1]{2}", "aa", false },
        { "[^a]+", "b\n\"", true },
        { "\"\\{\\}", "\"{}", true },
        { "", "", true },
        { "Gr\xC3\xBC\xC3\x9F.", "Gr\xC3\xBC\xC3\x9F!", true },
    };
    for (const Pair & pair : pairs) {
        const TextPattern pattern(pair.source);
        CHECK(pattern.matches(pair.text) == pair.matches);
        CHECK(Grammar::parse(pattern.grammar(), nullptr)->matches(pair.text) == pair.matches);
    }
}

CASE(expressions_that_cannot_be_used_are_named) {
    for (const char * source : { "a)(b", "(", "a{2,1}", "(a)\\1", "(?<=a)b", "[b-a]", "a&&(?!a)|b", "(?!a)b|c" }) {
        const std::string why = refusal(source);
        CHECK(source == std::string("a&&(?!a)|b") || why.find("'" + std::string(source) + "'") != std::string::npos);
    }
    CHECK(refusal("(?!a)a").find("matches no text") != std::string::npos);
    CHECK(refusal(std::string(5000, 'a')).find("5000 characters") != std::string::npos);
    CHECK(refusal("(a|b)*a(a|b){20}").find("too large") != std::string::npos);
}

CASE(a_grammar_of_choices_allows_these_texts_only) {
    std::vector<std::string> texts = {
        "no", "none", "no one", "\"quoted\" \\ back", "two\nlines", "Gr\xC3\xBC\xC3\x9F"
    };
    for (int i = 0; i < 40; i++) {
        texts.push_back("item " + std::to_string(i));
        const auto grammar = Grammar::parse(choice_grammar(texts), nullptr);
        for (const std::string & text : texts) {
            CHECK(grammar->matches(text));
            CHECK(!grammar->matches(text + "!") && !grammar->matches(text.substr(0, 1)));
        }
        CHECK(!grammar->matches("") && !grammar->matches("item 99"));
    }
}
