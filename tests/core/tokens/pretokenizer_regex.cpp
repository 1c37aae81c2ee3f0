// The pre-tokenizers' regular expressions in linear time (llama_patches/pretokenizer_regex.h), against std::regex.
#include "check.h"
#include "llama_patches/pretokenizer_regex.h"

#include <algorithm>
#include <fstream>
#include <random>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

namespace {

// The expressions that llama.cpp's vocabularies list, read from its source, so that a new one is tried at once.
std::vector<std::string> expressions() {
    std::ifstream     file(LUUP_LLAMA_VOCAB_CPP);
    std::stringstream read;
    read << file.rdbuf();
    const std::string        source = read.str();
    std::vector<std::string> found;
    const std::string        list = "regex_exprs = {";
    for (size_t at = source.find(list); at != std::string::npos; at = source.find(list, at)) {
        at += list.size();
        const size_t       end = source.find("};", at);
        std::istringstream lines(source.substr(at, end - at));
        for (std::string line; std::getline(lines, line);) {
            const size_t begin = line.find_first_not_of(" \t");
            if (begin == std::string::npos || line[begin] != '"') {
                continue;  // a comment
            }
            std::string literal;
            for (size_t i = begin + 1; line[i] != '"'; i++) {
                const char c = line[i];
                if (c == '\\') {
                    const char escaped = line[++i];
                    literal += escaped == 'n' ? '\n' : escaped == 'r' ? '\r' : escaped;
                } else {
                    literal += c;
                }
            }
            found.push_back(literal);
        }
    }
    return found;
}

// Replaces Unicode categories as llama.cpp does, for text whose characters beyond ASCII are one byte per category.
std::string collapse(const std::string & expression) {
    static const std::pair<const char *, const char *> categories[] = {
        { "\\p{N}", "0-9\xD1" },
        { "\\p{L}", "A-Za-z\xD2" },
        { "\\p{P}", "!-#%-*,-/:-;?-@\\[-\\]_\\{\\}\xD3" },
        { "\\p{M}", "\xD4" },
        { "\\p{S}", "\\$\\+<->^`\\|\\~\xD5" },
        { "\\p{Lu}", "A-Za-z\xD2" },
        { "\\p{Ll}", "A-Za-z\xD2" },
        { "\\p{Lt}", "A-Za-z\xD2" },
        { "\\p{Lm}", "A-Za-z\xD2" },
        { "\\p{Lo}", "A-Za-z\xD2" },
    };
    std::string out;
    bool        inside = false;
    for (size_t i = 0; i < expression.size(); i++) {
        const bool escaped = i > 0 && expression[i - 1] == '\\';
        if (!escaped && expression[i] == '[') {
            inside = true;
        } else if (!escaped && expression[i] == ']') {
            inside = false;
        }
        const char * members = nullptr;
        for (const auto & [name, units] : categories) {
            if (expression.compare(i, std::string(name).size(), name) == 0) {
                members = units;
                i += std::string(name).size() - 1;
                break;
            }
        }
        if (members) {
            out += inside ? members : "[" + std::string(members) + "]";
        } else {
            out += expression[i];
        }
    }
    return out;
}

// As llama.cpp did it: matches and the parts between them. Empty pieces make no words.
std::vector<size_t> split_by_std(const std::string & text, const std::regex & regex) {
    std::vector<size_t> lengths;
    size_t              seen = 0;
    for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it) {
        const auto begin = static_cast<size_t>(it->position());
        if (begin > seen) {
            lengths.push_back(begin - seen);
        }
        if (it->length() > 0) {
            lengths.push_back(static_cast<size_t>(it->length()));
        }
        seen = begin + static_cast<size_t>(it->length());
    }
    if (seen < text.size()) {
        lengths.push_back(text.size() - seen);
    }
    return lengths;
}

bool is_named(const std::string & expression) {  // names of llama.cpp's own loops
    return expression.find("Han}") != std::string::npos || expression.find("AFMoE") != std::string::npos ||
           expression.find("\\b") != std::string::npos;
}

bool is_ascii(const std::string & text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 128; });
}

}  // namespace

CASE(words_are_those_of_std_regex) {
    const char * const parts[] = { "a",  "B",  "z",  "Ab",   "7",    "42",   "123456", " ",    "  ",   "\n",   "\r\n",
                                   "\t", "'s", "'L", "'ll",  "'re",  "!",    "?",      ".",    "-",    "_",    "$",
                                   "+",  "<",  "^",  "`",    "|",    "~",    "/",      "\\",   "\"",   "(",    "[",
                                   "]",  "{",  "}",  "\x0B", "\x7F", "\xD0", "\xD1",   "\xD2", "\xD3", "\xD4", "\xD5" };
    std::mt19937       random(1);
    size_t             compared = 0;
    for (const std::string & expression : expressions()) {
        if (is_named(expression) || !is_ascii(expression)) {
            continue;  // those beyond ASCII: see wide_classes_are_those_of_std_regex
        }
        const std::string collapsed = collapse(expression);
        const std::regex  regex(collapsed, std::regex_constants::optimize | std::regex_constants::nosubs);
        for (int i = 0; i < 150; i++) {
            std::string text;
            for (size_t n = random() % 30; n > 0; n--) {
                const char * part = parts[random() % (sizeof(parts) / sizeof(*parts))];
                for (size_t times = random() % 8 ? 1 : random() % 20; times > 0; times--) {
                    text += part;
                }
            }
            CHECK(pretokenizer::split(text, collapsed, { text.size() }) == split_by_std(text, regex));
            compared++;
        }
    }
    CHECK(compared > 4000);
}

CASE(wide_classes_are_those_of_std_regex) {
    const std::wstring units = L" aZ9\n\u00E9\u3042\u4E00\u9FA5\uAC00\u2026\u3002\uFF01\u2018 \U00010400.,!";
    std::mt19937       random(2);
    for (const wchar_t * expression :
         { L"[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+", L" ?[^(\\s|.,!?\u2026\u3002\uFF0C\u3001)]+",
           L"\\s?[!-/:-~\uFF01-\uFF0F\u2018-\u201F]+", L"\\s+$", L"[\r\n]" }) {
        const std::wregex regex(expression);
        for (int i = 0; i < 300; i++) {
            std::wstring text;
            for (size_t n = random() % 40; n > 0; n--) {
                text += units[random() % units.size()];
            }
            std::vector<size_t> expected;
            size_t              seen = 0;
            for (std::wsregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it) {
                const auto begin = static_cast<size_t>(it->position());
                if (begin > seen) {
                    expected.push_back(begin - seen);
                }
                expected.push_back(static_cast<size_t>(it->length()));
                seen = begin + static_cast<size_t>(it->length());
            }
            if (seen < text.size()) {
                expected.push_back(text.size() - seen);
            }
            CHECK(pretokenizer::split(text, std::wstring(expression), { text.size() }) == expected);
        }
    }
}

CASE(pieces_are_split_apart) {
    const std::string digits = "12345671234";
    CHECK(pretokenizer::split(digits, std::string("(?=(\\d{3})+(?!\\d))"), { 7, 4 }) ==
          std::vector<size_t>({ 1, 3, 3, 1, 3 }));
    CHECK(pretokenizer::split(std::string("a  b"), std::string("\\s+(?!\\S)|\\s+"), { 2, 2 }) ==
          std::vector<size_t>({ 1, 1, 1, 1 }));
    CHECK(pretokenizer::split(std::string(), std::string("("), { 0 }).empty());
}

// std::regex overflows the stack at a tenth of this length.
CASE(long_runs_of_one_kind_are_read_a_few_times) {
    constexpr size_t length = 300000;
    for (const std::string & expression : expressions()) {
        if (is_named(expression) || expression.find("(?!\\d)") != std::string::npos) {
            continue;
        }
        const std::string collapsed = is_ascii(expression) ? collapse(expression) : expression;
        for (const char * unit : { "a", " ", "-", "\xD2", "7", "\n ", "A", "'", "\r\n" }) {
            std::string text;
            while (text.size() < length) {
                text += unit;
            }
            const uint64_t            before  = pretokenizer::automaton_of(collapsed).units_read();
            const std::vector<size_t> lengths = pretokenizer::split(text, collapsed, { text.size() });
            CHECK(pretokenizer::automaton_of(collapsed).units_read() - before < 4 * text.size());
            size_t sum = 0;
            for (const size_t n : lengths) {
                sum += n;
            }
            CHECK(sum == text.size());
        }
    }
}

CASE(what_is_not_supported_is_refused) {
    for (const char * expression : { "(a", "a)", "a**", "a+?", "[a", "[b-a]", "(?=ab)", "(?<=a)", "\\p", "\\b", "a{2",
                                     "[[:alpha:]]", "^a", "*", "a{99999}" }) {
        bool refused = false;
        try {
            pretokenizer::split(std::string("aab"), std::string(expression), { 3 });
        } catch (const std::regex_error &) {
            refused = true;
        }
        CHECK(refused);
    }
}
