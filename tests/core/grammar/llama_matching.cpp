// The matcher against llama.cpp's own, token by token over a whole vocabulary.
#include "check.h"
#include "matching.h"
#include "vocabulary.h"
#include "base/text.h"

#include "json-schema-to-grammar.h"
#include "llama.h"

#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

using namespace luup;

namespace {

struct Peer {
    explicit Peer(const std::string & gbnf) : sampler(llama_sampler_init_grammar(vocab(), gbnf.c_str(), "root")) {}
    ~Peer() {
        if (sampler) {
            llama_sampler_free(sampler);
        }
    }
    Peer(const Peer &)             = delete;
    Peer & operator=(const Peer &) = delete;

    std::vector<uint8_t> allowed() const {
        std::vector<llama_token_data> data;
        for (llama_token token = 0; token < trie()->size(); token++) {
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

// Whether the two must agree on a token. llama.cpp takes the names of control tokens for text, does not check bytes
// that are no character, and refuses half a character as soon as one of its completions is not allowed.
bool is_comparable(llama_token token) {
    const std::string_view text = trie()->bytes(token);
    return trie()->is_end(token) || (!text.empty() && text.find('\0') == std::string_view::npos &&
                                     utf8_find_invalid(text) == std::string_view::npos);
}

void follow_both(const std::string & gbnf, int walks, int steps, uint32_t seed) {
    std::mt19937 random(seed);
    const auto   grammar = Grammar::parse(gbnf, vocab());
    for (int walk = 0; walk < walks; walk++) {
        Matcher matcher(grammar, trie());
        Peer    peer(gbnf);
        CHECK(peer.sampler);
        std::string text;
        for (int step = 0; step < steps; step++) {
            const std::vector<uint8_t> ours = check_allowed(matcher), theirs = peer.allowed();
            std::vector<llama_token>   choice;
            for (llama_token token = 0; token < trie()->size(); token++) {
                if (!is_comparable(token)) {
                    continue;
                }
                if (ours[token] != theirs[token]) {
                    std::printf("%s\nafter <%s>: token %d <%s> is %sallowed\n", gbnf.c_str(), text.c_str(), token,
                                std::string(trie()->bytes(token)).c_str(), ours[token] ? "" : "not ");
                    CHECK(false);
                }
                if (ours[token] && !trie()->is_end(token)) {
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
                token = trie()->bytes(other).find_first_of("\"}],:") != std::string_view::npos ? other : token;
            }
            matcher.accept(token);
            llama_sampler_accept(peer.sampler, token);
            text += trie()->bytes(token);
        }
    }
}

// Rules that refer to later ones only, or after a character; the first alternative of each ends.
std::string random_grammar(std::mt19937 & random) {
    static const char * const chars[]  = { "\"a\"",    "\"ab\"", "[a-c]",        "[^a]",
                                           "\"\\\"\"", "[ \\n]", "\"\xC3\xA9\"", "[^\\x00-\\x1F\"\\\\]",
                                           "\".\"",    ".",      "\"the\"",      "[0-9]" };
    static const char * const counts[] = { "", "", "", "", "?", "*", "+", "{2}", "{0,3}", "{2,20}", "{1,}" };
    const auto                pick  = [&](const auto & list) { return std::string(list[random() % std::size(list)]); };
    const int                 rules = 2 + static_cast<int>(random() % 4);
    std::string               text;
    for (int rule = 0; rule < rules; rule++) {
        text += (rule ? "r" + std::to_string(rule) : std::string("root")) + " ::= " + pick(chars) + " " + pick(chars) +
                pick(counts);
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

}  // namespace

CASE(known_grammars_are_matched_as_llama_does) {
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

CASE(schemas_are_matched_as_llama_does) {
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

CASE(grammar_files_are_matched_as_llama_does) {
    uint32_t seed = 80;
    for (const std::string & path : grammar_files()) {
        std::ifstream     file(path);
        const std::string gbnf((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
        CHECK(!gbnf.empty());
        follow_both(gbnf, 2, 10, seed++);
    }
}

CASE(random_grammars_are_matched_as_llama_does) {
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
