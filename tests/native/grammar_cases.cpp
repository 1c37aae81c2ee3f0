// The grammar matcher against llama.cpp's own, token by token over a whole vocabulary; and against plain definitions.
//   luup-grammar-tests model.gguf [grammar.gbnf …]
#include "check.h"
#include "charset.h"
#include "error.h"
#include "grammar.h"
#include "text.h"

#include "json-schema-to-grammar.h"
#include "llama.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace luup;

namespace {

const llama_vocab *              vocab = nullptr;
std::shared_ptr<const TokenTrie> trie;
std::vector<std::string>         grammar_files;

bool is_character(uint32_t c) {
    return c >= 1 && c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF);
}

uint32_t walk(const ByteAutomaton & automaton, uint32_t node, std::string_view bytes) {
    for (char byte : bytes) {
        node = automaton.next(node, static_cast<uint8_t>(byte));
    }
    return node;
}

// --- Characters

void automata_know_every_character() {
    std::mt19937   random(3);
    ByteAutomaton  automaton;
    const uint32_t edges[] = { 0, 1, 0x41, 0x7F, 0x80, 0x7FF, 0x800, 0xFFF, 0x1000, 0xD7FF, 0xD800, 0xDFFF, 0xE000, 0xFFFF, 0x10000, 0x3FFFF, 0x10FFFF };
    for (int round = 0; round < 12; round++) {
        std::vector<std::pair<uint32_t, uint32_t>> ranges;
        for (int i = 0; i < round % 5; i++) {
            const uint32_t low = round % 2 ? edges[random() % 17] + random() % 3 - 1 : random() % 0x3000;
            ranges.emplace_back(low, low + random() % (round % 3 ? 100 : 70000));
        }
        const bool     inverse = round >= 6;
        const CharSet  set(ranges, inverse);
        const uint32_t root  = automaton.add(set);
        CharKinds      kinds = 0, lacking = 0;
        for (uint32_t c = 0; c <= 0x10FFFF; c++) {
            const bool listed = std::any_of(ranges.begin(), ranges.end(), [&](const auto & r) { return r.first <= c && c <= r.second; });
            const bool in     = is_character(c) && listed != inverse;
            CHECK((walk(automaton, root, utf8(c)) == ByteAutomaton::whole) == in);
            if (is_character(c)) {
                (in ? kinds : lacking) |= kind_of(c);
            }
        }
        CHECK(whole_kinds(set) == (kinds & ~lacking) && touched_kinds(set) == kinds);
    }
}

void automata_refuse_what_can_not_become_a_character() {
    ByteAutomaton  automaton;
    const uint32_t any = automaton.add(CharSet({}, true));
    for (const char * bad : { "\x80", "\xC0", "\xC1", "\xE0\x80", "\xE0\x9F", "\xED\xA0", "\xF0\x80", "\xF0\x8F", "\xF4\x90", "\xF5", "\xFF", "\xC3\x41", "\xE2\x82\x41" }) {
        CHECK(walk(automaton, any, bad) == ByteAutomaton::dead);
    }
    CHECK(walk(automaton, any, std::string_view("\0", 1)) == ByteAutomaton::dead);
    const uint32_t e = automaton.add(CharSet({ { 0xE9, 0xE9 } }));
    CHECK(walk(automaton, e, "\xC3") > ByteAutomaton::whole);
    CHECK(walk(automaton, e, "\xC2") == ByteAutomaton::dead);
}

// --- Parsing

bool is_refused(const std::string & gbnf) {
    try {
        Grammar::parse(gbnf, vocab);
    } catch (const Error & error) {
        CHECK(error.code() == LUUP_ERROR_INVALID_SCHEMA);
        return true;
    }
    return false;
}

void bad_grammars_are_refused() {
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
             "root ::= [a]{100000} [b]{100000} [c]{100000} [d]{100000} [e]{100000} [f]{100000} [g]{100000} [h]{100000} [i]{100000} [j]{100000} [k]{100000}",
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

bool fits(const std::string & gbnf, std::string_view text) {
    Matcher matcher(Grammar::parse(gbnf, vocab), trie);
    return matcher.accept_text(text) && matcher.can_end();
}

void notation_is_read_as_it_is_meant() {
    CHECK(fits("root ::= \"a\" | # a comment\n  \"b\"\n", "a"));
    CHECK(fits("# first\n\nroot ::=\n  \"a\" |\n  \"b\"", "b"));
    CHECK(fits("root ::= (\n \"a\"\n \"b\" # c\n)", "ab"));
    CHECK(fits("root ::= \"\\x41\\u00e9\\U0001F600\\t\\r\\\"\\\\\"", "A\xC3\xA9\xF0\x9F\x98\x80\t\r\"\\"));
    CHECK(fits("root ::= [^a-c\\]-]", "d") && !fits("root ::= [^a-c\\]-]", "b") && !fits("root ::= [^a-c\\]-]", "-") && !fits("root ::= [^a-c\\]]", "]"));
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
    CHECK(fits("root ::= \"a\"{3000,5000}", std::string(4000, 'a')) && !fits("root ::= \"a\"{3000,5000}", std::string(5001, 'a')));
}

// --- Matching

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
            CHECK(static_cast<uint8_t>(bytes[0]) >= 0x80 || std::any_of(tokens.begin(), tokens.end(), [&](llama_token t) {
                      return trie->bytes(t).substr(0, 1) != std::string_view(bytes.data(), 1);
                  }));
        }
    }
}

// What the matcher says in one go is what it says token by token.
std::vector<uint8_t> check_allowed(const Matcher & matcher) {
    std::vector<uint8_t>     one_by_one(static_cast<size_t>(trie->size()));
    std::vector<llama_token> all;
    CHECK(matcher.allowed(all));
    size_t n = 0;
    for (llama_token token = 0; token < trie->size(); token++) {
        one_by_one[token] = matcher.allows(token);
        n += one_by_one[token] && !trie->is_end(token);
        CHECK(!trie->is_end(token) || one_by_one[token] == matcher.can_end());
    }
    CHECK(all.size() == n);
    for (llama_token token : all) {
        CHECK(one_by_one[token] && !trie->is_end(token));
    }
    std::vector<llama_token> few;
    CHECK(matcher.allowed(few, 5) == (n <= 5) && few.size() == std::min<size_t>(n, 6));
    CHECK(matcher.must_end() == (matcher.can_end() && n == 0));
    check_forced(matcher);
    return one_by_one;
}

struct Peer {
    explicit Peer(const std::string & gbnf) : sampler(llama_sampler_init_grammar(vocab, gbnf.c_str(), "root")) {}
    ~Peer() {
        if (sampler) {
            llama_sampler_free(sampler);
        }
    }
    Peer(const Peer &)             = delete;
    Peer & operator=(const Peer &) = delete;

    std::vector<uint8_t> allowed() const {
        std::vector<llama_token_data> data;
        for (llama_token token = 0; token < trie->size(); token++) {
            data.push_back({ token, 0.0f, 0.0f });
        }
        llama_token_data_array array = { data.data(), data.size(), -1, false };
        llama_sampler_apply(sampler, &array);
        std::vector<uint8_t> allowed(data.size());
        for (const llama_token_data & d : data) {
            allowed[d.id] = !std::isinf(d.logit);
        }
        return allowed;
    }

    llama_sampler * sampler;
};

// Where the two have to agree: llama.cpp lets the texts of control tokens pass for text, doesn't look closely at bytes that are no character,
// and takes half a character for impossible as soon as one of those that it may become is.
bool is_comparable(llama_token token) {
    const std::string_view text = trie->bytes(token);
    return trie->is_end(token) || (!text.empty() && text.find('\0') == std::string_view::npos && utf8_find_invalid(text) == std::string_view::npos);
}

void follow_both(const std::string & gbnf, int walks, int steps, uint32_t seed) {
    std::mt19937 random(seed);
    const auto   grammar = Grammar::parse(gbnf, vocab);
    for (int walk = 0; walk < walks; walk++) {
        Matcher matcher(grammar, trie);
        Peer    peer(gbnf);
        CHECK(peer.sampler);
        std::string text;
        for (int step = 0; step < steps; step++) {
            const std::vector<uint8_t> ours = check_allowed(matcher), theirs = peer.allowed();
            std::vector<llama_token>   choice;
            for (llama_token token = 0; token < trie->size(); token++) {
                if (!is_comparable(token)) {
                    continue;
                }
                if (ours[token] != theirs[token]) {
                    std::printf("%s\nafter <%s>: token %d <%s> is %sallowed\n", gbnf.c_str(), text.c_str(), token, std::string(trie->bytes(token)).c_str(),
                                ours[token] ? "" : "not ");
                    CHECK(false);
                }
                if (ours[token] && !trie->is_end(token)) {
                    choice.push_back(token);
                }
            }
            if (choice.empty()) {
                break;
            }
            // Of some, the one that starts least often among the others: ends of strings, brackets.
            llama_token token = choice[random() % choice.size()];
            for (int i = 0; i < 6 && random() % 2; i++) {
                const llama_token other = choice[random() % choice.size()];
                token                   = trie->bytes(other).find_first_of("\"}],:") != std::string_view::npos ? other : token;
            }
            matcher.accept(token);
            llama_sampler_accept(peer.sampler, token);
            text += trie->bytes(token);
        }
    }
}

void known_grammars_are_matched_as_llama_does() {
    const char * grammars[] = {
        R"gbnf(root ::= value
value ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws (string ":" ws value ("," ws string ":" ws value)*)? "}" ws
array ::= "[" ws (value ("," ws value)*)? "]" ws
string ::= "\"" ([^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}))* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}
)gbnf",
        R"gbnf(root ::= (expr "=" ws term "\n")+
expr ::= term ([-+*/] term)*
term ::= ident | num | "(" ws expr ")" ws
ident ::= [a-z] [a-z0-9_]* ws
num ::= [0-9]+ ws
ws ::= [ \t\n]*
)gbnf",
        R"gbnf(root ::= "<think>" ([^<] | "<" [^/])* "</think>" ("\n" [A-Za-z ]{0,12}){0,4}
)gbnf",
        R"gbnf(root ::= ([0-9a-f]{1,3} "-"){2,4} [é日\U0001F600-\U0001F64F]{1,3} .{0,5}
)gbnf",
        R"gbnf(root ::= word (" " word){0,6} "."
word ::= "the" | "then" | "there" | "they" | "a" | "an" | "and" | "ant" | "" "other" | [A-Z] [a-z]{2,8}
)gbnf",
        R"gbnf(root ::= "\"" [^"]{0,1500} "\"" [0-9])gbnf",
        R"gbnf(root ::= "\"" [^"\\\x00-\x1F]{2,9} "\"" ([a-z]{0,5} | [a-z0-9 ]{0,7} "."))gbnf",
        R"gbnf(root ::= ([^\\\n]{0,20} | [a-e]{0,30}) "\n" [^x]{0,3} ([^<]{3} | .{4}) "x")gbnf",
        R"gbnf(root ::= ([^"\\\x00-\x1F]{0,2} | [a-z]{0,9}) "\n" [^"\\\x00-\x1F]{2} [a-z]{0,9} "\n" [^"]{2} .{3} "\n")gbnf",
        R"gbnf(root ::= s
s ::= "(" s ")" s | "[" s "]" s | "x" s |
)gbnf",
        R"gbnf(root ::= (a | b | ab)* "!"
a ::= "a" "a"? "a"?
b ::= [ab]{0,3} "b"
ab ::= a b
)gbnf",
    };
    uint32_t seed = 1;
    for (const char * gbnf : grammars) {
        follow_both(gbnf, 3, 14, seed++);
    }
}

void schemas_are_matched_as_llama_does() {
    const char * schemas[] = {
        R"({"type":"object","properties":{"name":{"type":"string","maxLength":12},"age":{"type":"integer","minimum":0,"maximum":150},"tags":{"type":"array","items":{"type":"string"},"maxItems":3},
           "kind":{"enum":["red","green","reddish"]},"ok":{"type":"boolean"},"score":{"type":"number"}},"required":["name","age","kind"]})",
        R"({"anyOf":[{"type":"object","properties":{"a":{"const":1}},"required":["a"]},{"type":"array","prefixItems":[{"type":"integer"},{"type":"null"}]},{"type":"string","format":"date-time"}]})",
        R"({"type":"string","pattern":"^[A-Z]{2,3}-\\d{4}(x|yz)?$"})",
        R"({"$defs":{"tree":{"type":"object","properties":{"v":{"type":"integer"},"kids":{"type":"array","items":{"$ref":"#/$defs/tree"}}},"required":["v"]}},"$ref":"#/$defs/tree"})",
        R"({"type":"object","additionalProperties":{"type":"integer"},"properties":{"id":{"type":"string"}}})",
    };
    uint32_t seed = 50;
    for (const char * schema : schemas) {
        follow_both(json_schema_to_grammar(common_json::parse(schema)), 3, 16, seed++);
    }
}

void grammar_files_are_matched_as_llama_does() {
    uint32_t seed = 80;
    for (const std::string & path : grammar_files) {
        std::ifstream     file(path);
        const std::string gbnf((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
        CHECK(!gbnf.empty());
        follow_both(gbnf, 2, 10, seed++);
    }
}

// Rules that refer to later ones only, or after a character; the first alternative of each ends.
std::string random_grammar(std::mt19937 & random) {
    static const char * const chars[]  = { "\"a\"", "\"ab\"", "[a-c]", "[^a]", "\"\\\"\"", "[ \\n]", "\"\xC3\xA9\"", "[^\\x00-\\x1F\"\\\\]", "\".\"", ".", "\"the\"", "[0-9]" };
    static const char * const counts[] = { "", "", "", "", "?", "*", "+", "{2}", "{0,3}", "{2,20}", "{1,}" };
    const auto                pick     = [&](const auto & list) { return std::string(list[random() % std::size(list)]); };
    const int                 rules    = 2 + static_cast<int>(random() % 4);
    std::string               text;
    for (int rule = 0; rule < rules; rule++) {
        text += (rule ? "r" + std::to_string(rule) : std::string("root")) + " ::= " + pick(chars) + " " + pick(chars) + pick(counts);
        for (size_t alternatives = random() % 4; alternatives > 0; alternatives--) {
            text += " | ";
            bool after_char = false;
            for (size_t items = random() % 4; items > 0; items--) {
                const int later = rule + 1 + static_cast<int>(random() % 3);
                if (random() % 3 == 0 && later < rules) {
                    text += "r" + std::to_string(later) + pick(counts) + " ";
                } else if (random() % 4 == 0 && after_char && rule > 0) {
                    text += "r" + std::to_string(1 + random() % static_cast<uint32_t>(rules - 1)) + " ";
                } else if (random() % 5 == 0) {
                    text += "(" + pick(chars) + " | " + pick(chars) + pick(chars) + ")" + pick(counts) + " ";
                } else {
                    text += pick(chars) + " ";
                    after_char = true;
                }
            }
        }
        text += "\n";
    }
    return text;
}

void random_grammars_are_matched_as_llama_does() {
    std::mt19937 random(11);
    int          compared = 0;
    for (int i = 0; i < 60; i++) {
        const std::string gbnf = random_grammar(random);
        // Theirs refuses, or is endless on, some repetitions of what may be empty.
        if (Peer(gbnf).sampler && !is_refused(gbnf)) {
            follow_both(gbnf, 1, 5, 200 + static_cast<uint32_t>(i));
            compared++;
        }
    }
    CHECK(compared >= 20);
}

void bounds_hold_at_the_end_of_long_texts() {
    Matcher                  matcher(Grammar::parse("root ::= [^\"]{0,1030} \"\\\"\"", vocab), trie);
    std::vector<llama_token> tokens;
    CHECK(matcher.allowed(tokens));
    for (int n = 1030; n > 0; n -= n > 10 ? 102 : 1) {
        check_allowed(matcher);
        CHECK(matcher.accept_text(std::string(n > 10 ? 102 : 1, 'e')));
    }
    CHECK(!Matcher(matcher).accept_text("e") && matcher.forced() == "\"");
}

// A character in parts: what is allowed after the first bytes is what can complete it.
void parts_of_characters_are_followed() {
    const auto grammar = Grammar::parse("root ::= \"\\\"\" ([\xC3\xA9\xE6\x97\xA5] | [\\U0001F600-\\U0001F610])* \"\\\"\"", vocab);
    Matcher    matcher(grammar, trie);
    for (const char * text : { "\"", "\xC3\xA9", "\xE6\x97\xA5", "\xF0\x9F\x98\x84", "\xF0\x9F\x98\x90\"" }) {
        for (const char * byte = text; *byte; byte++) {
            check_allowed(matcher);
            CHECK(matcher.accept_text({ byte, 1 }));
        }
    }
    CHECK(matcher.must_end());
    Matcher inside(grammar, trie);
    CHECK(inside.accept_text("\"\xF0\x9F\x98"));
    CHECK(!inside.can_end() && inside.forced().empty());
    CHECK(!Matcher(inside).accept_text("\x91") && Matcher(inside).accept_text("\x90"));
    CHECK(!Matcher(grammar, trie).accept_text("\"\xC2") && !Matcher(grammar, trie).accept_text("\"\xF1"));
    Matcher one(Grammar::parse("root ::= \"\xC3\xA9\" [\xC3\xA8\xC3\xA9]", vocab), trie);
    CHECK(one.forced() == "\xC3\xA9");
    Matcher any(Grammar::parse("root ::= [^x]{1,3}", vocab), trie);
    check_allowed(any);
    CHECK(any.accept_text("\xE6\x97"));
    check_allowed(any);
}

llama_token find_token(const std::function<bool(llama_token)> & wanted) {
    for (llama_token token = 0; token < trie->size(); token++) {
        if (wanted(token)) {
            return token;
        }
    }
    CHECK(false);
    return 0;
}

void tokens_by_name_are_matched() {
    const llama_token control = find_token([](llama_token t) { return llama_vocab_is_control(vocab, t) && !llama_vocab_is_eog(vocab, t); });
    const llama_token hello   = find_token([](llama_token t) { return trie->bytes(t) == "he"; });
    const llama_token end     = find_token([](llama_token t) { return llama_vocab_is_eog(vocab, t); });
    const std::string named   = "<[" + std::to_string(control) + "]>";
    Matcher           matcher(Grammar::parse("root ::= \"a\"? " + named + " !<[" + std::to_string(hello) + "]> \"b\" | \"ac\"", vocab), trie);
    CHECK(trie->bytes(control).empty() && matcher.allows(control) && !matcher.allows(end) && !matcher.allows(hello));
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
    const char * text = llama_vocab_get_text(vocab, control);
    if (text[0] == '<' && std::strchr(text, '>') == text + std::strlen(text) - 1) {
        CHECK(Matcher(Grammar::parse("root ::= " + std::string(text), vocab), trie).allows(control));
    }
}

void what_is_not_allowed_changes_nothing() {
    Matcher           matcher(Grammar::parse("root ::= \"abc\" [0-9]+", vocab), trie);
    const llama_token wrong = find_token([](llama_token t) { return trie->bytes(t) == "x"; });
    CHECK(matcher.accept_text("ab") && !matcher.accept_text("cx") && !matcher.accept_text("x"));
    for (llama_token token : { wrong, llama_token(-1), trie->size(), find_token([](llama_token t) { return llama_vocab_is_eog(vocab, t); }) }) {
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

void ambiguity_ends_in_an_error_not_in_a_hang() {
    // Every x may be followed later by a y or a z: the ways double with each.
    Matcher matcher(Grammar::parse("root ::= \"x\" root \"y\" | \"x\" root [yz] \"z\" | \"x\" root \"w\" | \"o\"", vocab), trie);
    bool    refused = false;
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
    Matcher spaces(Grammar::parse("root ::= ws ws ws (ws | ws ws)* [a-z]{0,300} [a-z]{0,300} ws \"!\"\nws ::= [ ]*", vocab), trie);
    CHECK(spaces.accept_text(std::string(500, ' ') + std::string(600, 'k')));
    check_allowed(spaces);
    CHECK(!Matcher(spaces).accept_text("k") && spaces.accept_text("  !") && spaces.must_end());
}

void long_texts_do_not_fill_the_memory() {
    // Every character leads to a state never seen before. The states are given up again and again, the matchers go on.
    const auto        grammar = Grammar::parse("root ::= v\nv ::= \"[\" (v (\",\" v)*)? \"]\" | [a-z]{0,2000} \".\"", vocab);
    const std::string item    = std::string(1900, 'b') + ".,";
    Matcher           matcher(grammar, trie), other(grammar, trie);
    CHECK(other.accept_text("[[ab"));
    for (int i = 0; i < 400; i++) {
        CHECK(matcher.accept_text("[" + item) && !matcher.can_end() && !Matcher(matcher).accept_text(","));
    }
    check_allowed(matcher);
    CHECK(matcher.accept_text(".") && !Matcher(matcher).accept_text(std::string(401, ']')));
    CHECK(matcher.accept_text(std::string(400, ']')) && matcher.must_end());
    CHECK(other.accept_text("c.]]") && other.must_end());
}

void matchers_on_many_threads_share_a_grammar() {
    const auto               grammar = Grammar::parse("root ::= \"{\" ([a-z]{1,40} \":\" [0-9]{1,9} \",\")* \"}\"", vocab);
    const std::string        text    = "{abc:12,defghijklmnop:345,q:1,}";
    std::vector<int>         fitted(4, 0);
    std::vector<std::thread> threads;
    for (size_t i = 0; i < fitted.size(); i++) {
        threads.emplace_back([&, i] {
            std::vector<llama_token> tokens;
            for (int round = 0; round < 20; round++) {
                Matcher matcher(grammar, trie);
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

void quiet(ggml_log_level, const char *, void *) {}

int run_tests() {
    const std::vector<std::pair<const char *, std::function<void()>>> tests = {
        { "automata_know_every_character", automata_know_every_character },
        { "automata_refuse_what_can_not_become_a_character", automata_refuse_what_can_not_become_a_character },
        { "bad_grammars_are_refused", bad_grammars_are_refused },
        { "notation_is_read_as_it_is_meant", notation_is_read_as_it_is_meant },
        { "known_grammars_are_matched_as_llama_does", known_grammars_are_matched_as_llama_does },
        { "schemas_are_matched_as_llama_does", schemas_are_matched_as_llama_does },
        { "grammar_files_are_matched_as_llama_does", grammar_files_are_matched_as_llama_does },
        { "random_grammars_are_matched_as_llama_does", random_grammars_are_matched_as_llama_does },
        { "bounds_hold_at_the_end_of_long_texts", bounds_hold_at_the_end_of_long_texts },
        { "parts_of_characters_are_followed", parts_of_characters_are_followed },
        { "tokens_by_name_are_matched", tokens_by_name_are_matched },
        { "what_is_not_allowed_changes_nothing", what_is_not_allowed_changes_nothing },
        { "ambiguity_ends_in_an_error_not_in_a_hang", ambiguity_ends_in_an_error_not_in_a_hang },
        { "long_texts_do_not_fill_the_memory", long_texts_do_not_fill_the_memory },
        { "matchers_on_many_threads_share_a_grammar", matchers_on_many_threads_share_a_grammar },
    };
    return run_cases(tests);
}

}  // namespace

int main(int argc, char ** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: %s model.gguf [grammar.gbnf ...]\n", argv[0]);
        return 2;
    }
    llama_log_set(quiet, nullptr);
    llama_model_params params = llama_model_default_params();
    params.vocab_only         = true;
    llama_model * model       = llama_model_load_from_file(argv[1], params);
    if (!model) {
        std::fprintf(stderr, "can't load %s\n", argv[1]);
        return 1;
    }
    vocab = llama_model_get_vocab(model);
    trie  = std::make_shared<const TokenTrie>(vocab);
    grammar_files.assign(argv + 2, argv + argc);
    const int result = run_tests();
    trie.reset();
    llama_model_free(model);
    return result;
}
