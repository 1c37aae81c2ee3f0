// The matcher at its edges: parts of characters, tokens by name, ambiguity, long texts, threads.
#include "check.h"
#include "matching.h"
#include "vocabulary.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "grammar/matcher.h"

#include "llama.h"

#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

using namespace luup;

namespace {

llama_token find_token(const std::function<bool(llama_token)> & wanted) {
    for (llama_token token = 0; token < trie()->size(); token++) {
        if (wanted(token)) {
            return token;
        }
    }
    CHECK(false);
    return 0;
}

}  // namespace

CASE(bounds_hold_at_the_end_of_long_texts) {
    Matcher                  matcher(Grammar::parse("root ::= [^\"]{0,1030} \"\\\"\"", vocab()), trie());
    std::vector<llama_token> tokens;
    CHECK(matcher.allowed(tokens));
    for (int n = 1030; n > 0; n -= n > 10 ? 102 : 1) {
        check_allowed(matcher);
        CHECK(matcher.accept_text(std::string(n > 10 ? 102 : 1, 'e')));
    }
    CHECK(!Matcher(matcher).accept_text("e") && matcher.forced() == "\"");
}

// A character in parts: what is allowed after the first bytes is what can complete it.
CASE(parts_of_characters_are_followed) {
    const auto grammar =
        Grammar::parse("root ::= \"\\\"\" ([\xC3\xA9\xE6\x97\xA5] | [\\U0001F600-\\U0001F610])* \"\\\"\"", vocab());
    Matcher matcher(grammar, trie());
    for (const char * text : { "\"", "\xC3\xA9", "\xE6\x97\xA5", "\xF0\x9F\x98\x84", "\xF0\x9F\x98\x90\"" }) {
        for (const char * byte = text; *byte; byte++) {
            check_allowed(matcher);
            CHECK(matcher.accept_text({ byte, 1 }));
        }
    }
    CHECK(matcher.must_end());
    Matcher inside(grammar, trie());
    CHECK(inside.accept_text("\"\xF0\x9F\x98"));
    CHECK(!inside.can_end() && inside.forced().empty());
    CHECK(!Matcher(inside).accept_text("\x91") && Matcher(inside).accept_text("\x90"));
    CHECK(!Matcher(grammar, trie()).accept_text("\"\xC2") && !Matcher(grammar, trie()).accept_text("\"\xF1"));
    Matcher one(Grammar::parse("root ::= \"\xC3\xA9\" [\xC3\xA8\xC3\xA9]", vocab()), trie());
    CHECK(one.forced() == "\xC3\xA9");
    Matcher any(Grammar::parse("root ::= [^x]{1,3}", vocab()), trie());
    check_allowed(any);
    CHECK(any.accept_text("\xE6\x97"));
    check_allowed(any);
}

CASE(tokens_by_name_are_matched) {
    const llama_token control =
        find_token([](llama_token t) { return llama_vocab_is_control(vocab(), t) && !llama_vocab_is_eog(vocab(), t); });
    const llama_token hello = find_token([](llama_token t) { return trie()->bytes(t) == "he"; });
    const llama_token end   = find_token([](llama_token t) { return llama_vocab_is_eog(vocab(), t); });
    const std::string named = "<[" + std::to_string(control) + "]>";
    Matcher           matcher(
        Grammar::parse("root ::= \"a\"? " + named + " !<[" + std::to_string(hello) + "]> \"b\" | \"ac\"", vocab()),
        trie());
    CHECK(trie()->bytes(control).empty() && matcher.allows(control) && !matcher.allows(end) && !matcher.allows(hello));
    check_allowed(matcher);
    CHECK(matcher.accept_text("a"));
    CHECK(matcher.forced().empty());  // a token, or a c
    check_allowed(matcher);
    matcher.accept(control);
    CHECK(!matcher.allows(control) && !matcher.allows(hello) && matcher.allows(hello + 1));
    check_allowed(matcher);
    matcher.accept(hello + 1);
    CHECK(matcher.forced() == "b");
    CHECK(matcher.accept_text("b") && matcher.must_end() && matcher.allows(end));
    matcher.accept(end);
    CHECK(matcher.must_end());
    // The token's own text, where it is one token.
    const char * text = llama_vocab_get_text(vocab(), control);
    if (text[0] == '<' && std::strchr(text, '>') == text + std::strlen(text) - 1) {
        CHECK(Matcher(Grammar::parse("root ::= " + std::string(text), vocab()), trie()).allows(control));
    }
}

CASE(what_is_not_allowed_changes_nothing) {
    Matcher           matcher(Grammar::parse("root ::= \"abc\" [0-9]+", vocab()), trie());
    const llama_token wrong = find_token([](llama_token t) { return trie()->bytes(t) == "x"; });
    CHECK(matcher.accept_text("ab") && !matcher.accept_text("cx") && !matcher.accept_text("x"));
    for (llama_token token : { wrong, llama_token(-1), trie()->size(),
                               find_token([](llama_token t) { return llama_vocab_is_eog(vocab(), t); }) }) {
        CHECK(!matcher.allows(token));
        try {
            matcher.accept(token);
            CHECK(false);
        } catch (const Error & error) {
            CHECK(error.code() == LUUP_ERROR_INTERNAL);
        }
    }
    CHECK(matcher.forced() == "c" && matcher.accept_text("") && matcher.accept_text("c1") && matcher.can_end());
    Matcher copy = matcher;
    CHECK(copy.accept_text("23") && !matcher.must_end() && matcher.accept_text("4") && copy.can_end());
}

CASE(ambiguity_ends_in_an_error_not_in_a_hang) {
    // Every x may be followed later by a y or a z: the ways double with each.
    Matcher matcher(
        Grammar::parse("root ::= \"x\" root \"y\" | \"x\" root [yz] \"z\" | \"x\" root \"w\" | \"o\"", vocab()),
        trie());
    bool refused = false;
    for (int i = 0; i < 100 && !refused; i++) {
        try {
            CHECK(matcher.accept_text("x"));
        } catch (const Error & error) {
            CHECK(error.code() == LUUP_ERROR_INVALID_SCHEMA);
            refused = true;
        }
    }
    CHECK(refused);
    // Ambiguous, and nothing to it.
    Matcher spaces(
        Grammar::parse("root ::= ws ws ws (ws | ws ws)* [a-z]{0,300} [a-z]{0,300} ws \"!\"\nws ::= [ ]*", vocab()),
        trie());
    CHECK(spaces.accept_text(std::string(500, ' ') + std::string(600, 'k')));
    check_allowed(spaces);
    CHECK(!Matcher(spaces).accept_text("k") && spaces.accept_text("  !") && spaces.must_end());
}

CASE(long_texts_do_not_fill_the_memory) {
    // Every character leads to a state never seen before. The states are given up again and again, the matchers go on.
    const auto grammar = Grammar::parse("root ::= v\nv ::= \"[\" (v (\",\" v)*)? \"]\" | [a-z]{0,2000} \".\"", vocab());
    const std::string item = std::string(1900, 'b') + ".,";
    Matcher           matcher(grammar, trie()), other(grammar, trie());
    CHECK(other.accept_text("[[ab"));
    for (int i = 0; i < 400; i++) {
        CHECK(matcher.accept_text("[" + item) && !matcher.can_end() && !Matcher(matcher).accept_text(","));
    }
    check_allowed(matcher);
    CHECK(matcher.accept_text(".") && !Matcher(matcher).accept_text(std::string(401, ']')));
    CHECK(matcher.accept_text(std::string(400, ']')) && matcher.must_end());
    CHECK(other.accept_text("c.]]") && other.must_end());
}

CASE(matchers_on_many_threads_share_a_grammar) {
    const auto        grammar = Grammar::parse("root ::= \"{\" ([a-z]{1,40} \":\" [0-9]{1,9} \",\")* \"}\"", vocab());
    const std::string text    = "{abc:12,defghijklmnop:345,q:1,}";
    std::vector<int>  fitted(4, 0);
    std::vector<std::thread> threads;
    for (size_t i = 0; i < fitted.size(); i++) {
        threads.emplace_back([&, i] {
            std::vector<llama_token> tokens;
            for (int round = 0; round < 20; round++) {
                Matcher matcher(grammar, trie());
                bool    ok = true;
                for (char c : text) {
                    ok = ok && matcher.allowed(tokens) && matcher.accept_text({ &c, 1 });
                }
                fitted[i] += ok && matcher.must_end() ? 1 : 0;
            }
        });
    }
    for (std::thread & thread : threads) {
        thread.join();
    }
    CHECK(fitted == std::vector<int>(4, 20));
}

// Each "#" triples the threads, so that a set of tokens would take long; without an end, the limit of threads ends it.
CASE(ambiguous_grammars_can_be_interrupted) {
    const auto grammar = Grammar::parse("root ::= value\nvalue ::= \"#\" value?{1,}", vocab());
    Matcher    matcher(grammar, trie());
    CHECK(matcher.accept_text("#"));
    std::vector<llama_token> tokens;
    const auto               code = [&] {
        try {
            matcher.allowed(tokens);
        } catch (const Error & e) {
            return e.code();
        }
        return LUUP_SUCCESS;
    };
    {
        int                  asked = 0;
        const InterruptScope scope([&]() -> std::optional<Failure> {
            return ++asked > 2 ? std::make_optional(Failure{ LUUP_ERROR_TIMED_OUT, "late" }) : std::nullopt;
        });
        CHECK(code() == LUUP_ERROR_TIMED_OUT);
    }
    CHECK(code() == LUUP_ERROR_INVALID_SCHEMA);
}
