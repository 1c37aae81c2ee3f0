// How the notation is read, and which grammars are refused.
#include "check.h"
#include "matching.h"
#include "vocabulary.h"
#include "grammar/matcher.h"

#include <string>
#include <vector>

using namespace luup;

namespace {

bool fits(const std::string & gbnf, std::string_view text) {
    Matcher matcher(Grammar::parse(gbnf, vocab()), trie());
    return matcher.accept_text(text) && matcher.can_end();
}

}  // namespace

CASE(bad_grammars_are_refused) {
    const std::string deep(1000, '(');
    for (const std::string & gbnf : std::vector<std::string>{
             "",
             "other ::= \"a\"",
             "root ::= missing",
             "root ::= \"a",
             "root ::= [a",
             "root ::= [a-",
             "root ::= \"\\q\"",
             "root ::= \"\\u12\"",
             "root = \"a\"",
             "root ::= (\"a\"",
             "root ::= \"a\")",
             "root ::= *",
             "root ::= \"a\"{2",
             "root ::= \"a\"{3,2}",
             "root ::= \"a\"{x}",
             "root ::= \"a\"{99999999999999999999}",
             "root ::= \"a\"\nroot ::= \"b\"",
             "root ::= \"\xFF\"",
             std::string("root ::= \"a\0\"", 13),
             "root ::= <no such token>",
             "root ::= <[99999999]>",
             "root ::= <[1]",
             "root ::= <[1]]",
             "root ::= <[]>",
             "root ::= <a",
             "root ::= !\"a\"",
             "::= \"a\"",
             // no text at all
             "root ::= root",
             "root ::= \"a\" root",
             "root ::= a\na ::= b\nb ::= \"x\" a",
             "root ::= [z-a]",
             "root ::= \"\\x00\"",
             // left-recursive, openly or behind what may be empty
             "root ::= root \"a\" | \"a\"",
             "root ::= a \"x\" | \"y\"\na ::= root \"z\" | \"w\"",
             "root ::= e root \"a\" | \"a\"\ne ::= f\nf ::= \"b\"?",
             "root ::= (\"a\"? root \"b\")* \"c\"",
             // too large, too deep
             "root ::= [a]{100000} [b]{100000} [c]{100000} [d]{100000} [e]{100000} [f]{100000} [g]{100000} [h]{100000} "
             "[i]{100000} [j]{100000} [k]{100000}",
             "root ::= \"a\"{100001}",
             "root ::= " + deep + "\"a\"" + std::string(1000, ')'),
             "root ::= \"a\" #" + std::string(5000000, 'c'),
         }) {
        if (!is_refused(gbnf)) {
            std::printf("not refused: %.80s\n", gbnf.c_str());
            CHECK(false);
        }
    }
}

CASE(notation_is_read_as_it_is_meant) {
    CHECK(fits("root ::= \"a\" | # a comment\n  \"b\"\n", "a"));
    CHECK(fits("# first\n\nroot ::=\n  \"a\" |\n  \"b\"", "b"));
    CHECK(fits("root ::= (\n \"a\"\n \"b\" # c\n)", "ab"));
    CHECK(fits("root ::= \"\\x41\\u00e9\\U0001F600\\t\\r\\\"\\\\\"", "A\xC3\xA9\xF0\x9F\x98\x80\t\r\"\\"));
    CHECK(fits("root ::= [^a-c\\]-]", "d") && !fits("root ::= [^a-c\\]-]", "b") && !fits("root ::= [^a-c\\]-]", "-") &&
          !fits("root ::= [^a-c\\]]", "]"));
    CHECK(fits("root ::= \"ab\"*", "abab") && !fits("root ::= \"ab\"*", "abb") && fits("root ::= \"ab\"*", ""));
    CHECK(fits("root ::= .+", "\n\xE2\x82\xAC") && !fits("root ::= .+", ""));
    CHECK(fits("root ::= [] \"a\" \"\"", "a"));
    CHECK(fits("root ::= a-1 | () \na-1 ::= \"x\"", "x") && fits("root ::= a-1 | () \na-1 ::= \"x\"", ""));
    for (size_t n = 0; n < 9; n++) {
        const std::string text(n, 'a');
        CHECK(fits("root ::= \"a\"{3,5}", text) == (n >= 3 && n <= 5));
        CHECK(fits("root ::= \"a\"{ 4 }", text) == (n == 4));
        CHECK(fits("root ::= \"a\"{4,}", text) == (n >= 4));
        CHECK(fits("root ::= \"a\"{0}", text) == (n == 0));
        CHECK(fits("root ::= (\"a\" | \"aa\"){0,3}", text) == (n <= 6));
        CHECK(fits("root ::= \"a\"{2}{0,2}", text) == (n <= 4 && n % 2 == 0));
        CHECK(fits("root ::= ((\"a\"?)*)*", text));
        CHECK(fits("root ::= x \"\" | y\nx ::= \"a\" x?\ny ::= x? y | \"b\"", text) == (n >= 1));
    }
    CHECK(fits("root ::= \"a\"{3000,5000}", std::string(4000, 'a')) &&
          !fits("root ::= \"a\"{3000,5000}", std::string(5001, 'a')));
}
