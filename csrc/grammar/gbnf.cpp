#include "grammar/gbnf.h"

#include "base/error.h"
#include "base/text.h"
#include "grammar/limits.h"

#include <algorithm>
#include <cstring>

namespace luup {

namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || is_digit(c);
}

class Parser {
  public:
    Parser(const std::string & text, const llama_vocab * vocab) : text_(text), vocab_(vocab) {}

    Gbnf parse() {
        skip_space(true);
        while (peek() != 0) {
            parse_rule();
        }
        for (const GbnfRule & rule : out_.rules) {
            if (!rule.defined) {
                fail(LUUP_ERROR_INVALID_SCHEMA, "grammar, line %d: the rule '%s' is used but not defined",
                     first_use(rule.name), rule.name.c_str());
            }
        }
        const auto root = names_.find("root");
        if (root == names_.end()) {
            fail(LUUP_ERROR_INVALID_SCHEMA, "grammar: there is no rule 'root'");
        }
        out_.root = root->second;
        return std::move(out_);
    }

  private:
    [[noreturn]] void refuse(const char * reason) const {
        if (rule_.empty()) {
            fail(LUUP_ERROR_INVALID_SCHEMA, "grammar, line %d: %s", line_of(at_), reason);
        }
        fail(LUUP_ERROR_INVALID_SCHEMA, "grammar, line %d, rule '%s': %s", line_of(at_), rule_.c_str(), reason);
    }

    int line_of(size_t at) const {
        return static_cast<int>(1 + std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
    }

    int first_use(const std::string & rule) const { return line_of(first_at_.at(rule)); }

    // Returns 0 at the end: the text contains no such byte.
    char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

    bool take(char c) {
        if (peek() != c) {
            return false;
        }
        at_++;
        return true;
    }

    void skip_space(bool newlines) {
        for (;;) {
            const char c = peek();
            if (c == '#') {
                while (peek() != 0 && peek() != '\r' && peek() != '\n') {
                    at_++;
                }
            } else if (c == ' ' || c == '\t' || (newlines && (c == '\r' || c == '\n'))) {
                at_++;
            } else {
                return;
            }
        }
    }

    uint32_t parse_rule_name() {
        const size_t begin = at_;
        while (is_word(peek())) {
            at_++;
        }
        if (at_ == begin) {
            refuse("a rule's name is missing");
        }
        const auto [entry, added] =
            names_.emplace(text_.substr(begin, at_ - begin), static_cast<uint32_t>(out_.rules.size()));
        if (added) {
            out_.rules.emplace_back();
            out_.rules.back().name  = entry->first;
            first_at_[entry->first] = begin;
        }
        return entry->second;
    }

    void parse_rule() {
        rule_.clear();
        const uint32_t index = parse_rule_name();
        rule_                = out_.rules[index].name;
        skip_space(false);
        if (text_.compare(at_, 3, "::=") != 0) {
            refuse("'::=' is missing");
        }
        at_ += 3;
        if (out_.rules[index].defined) {
            refuse("this rule is defined twice");
        }
        skip_space(true);
        GbnfChoice body           = parse_choice(0);
        out_.rules[index].body    = std::move(body);
        out_.rules[index].defined = true;
        if (peek() != 0 && peek() != '\r' && peek() != '\n') {
            refuse("unexpected character");
        }
        skip_space(true);
    }

    GbnfChoice parse_choice(int depth) {
        GbnfChoice choice;
        choice.push_back(parse_sequence(depth));
        while (take('|')) {
            skip_space(true);
            choice.push_back(parse_sequence(depth));
        }
        return choice;
    }

    GbnfSequence parse_sequence(int depth) {
        GbnfSequence sequence;
        while (starts_item()) {
            GbnfSequence items = parse_item(depth);
            skip_space(depth > 0);
            while (peek() == '*' || peek() == '+' || peek() == '?' || peek() == '{') {
                GbnfItem repeated = as_one(std::move(items));
                parse_repetition(repeated, depth > 0);
                items.assign(1, std::move(repeated));
                skip_space(depth > 0);
            }
            std::move(items.begin(), items.end(), std::back_inserter(sequence));
        }
        return sequence;
    }

    bool starts_item() const { return is_word(peek()) || (peek() != 0 && std::strchr("\"[.(<!", peek()) != nullptr); }

    // Returns what a repetition mark after it applies to: for a literal, an item per character.
    GbnfSequence parse_item(int depth) {
        GbnfItem item;
        if (take('"')) {
            return parse_literal();
        }
        if (take('(')) {
            if (depth >= grammar_limits::parentheses) {
                refuse("parentheses are nested more than 200 levels deep");
            }
            skip_space(true);
            item.body = parse_choice(depth + 1);
            if (!take(')')) {
                refuse("')' is missing");
            }
        } else if (take('[')) {
            return parse_set();
        } else if (take('.')) {
            item = chars(CharSet({}, true));
        } else if (peek() == '<' || peek() == '!') {
            item.kind  = take('!') ? GbnfItem::Kind::not_token : GbnfItem::Kind::token;
            item.value = parse_token();
        } else {
            item.kind  = GbnfItem::Kind::rule;
            item.value = parse_rule_name();
        }
        return { item };
    }

    static GbnfItem as_one(GbnfSequence items) {
        if (items.size() == 1 && items[0].min == 1 && items[0].max == 1) {
            return std::move(items[0]);
        }
        GbnfItem group;
        group.body.push_back(std::move(items));
        return group;
    }

    GbnfItem chars(CharSet set) {
        const auto [entry, added] = set_ids_.emplace(std::move(set), static_cast<uint32_t>(out_.sets.size()));
        if (added) {
            out_.sets.push_back(entry->first);
        }
        GbnfItem item;
        item.kind  = GbnfItem::Kind::chars;
        item.value = entry->second;
        return item;
    }

    GbnfSequence parse_literal() {
        GbnfSequence items;
        while (!take('"')) {
            const uint32_t c = parse_char();
            items.push_back(chars(CharSet({ { c, c } })));
        }
        return items;
    }

    // An empty set ([] or [^]) is the empty text, as in llama.cpp.
    GbnfSequence parse_set() {
        const bool                                 inverse = take('^');
        std::vector<std::pair<uint32_t, uint32_t>> ranges;
        while (!take(']')) {
            const uint32_t low  = parse_char();
            uint32_t       high = low;
            if (peek() == '-' && peek(1) != ']') {
                at_++;
                high = parse_char();
            }
            ranges.emplace_back(low, high);
        }
        if (ranges.empty()) {
            return {};
        }
        return { chars(CharSet(std::move(ranges), inverse)) };
    }

    uint32_t parse_char() {
        if (peek() == 0) {
            refuse("the grammar ends inside a literal or a set");
        }
        if (!take('\\')) {
            return parse_utf8();
        }
        const char c = peek();
        at_++;
        switch (c) {
            case 'x': return parse_hex(2);
            case 'u': return parse_hex(4);
            case 'U': return parse_hex(8);
            case 't': return '\t';
            case 'r': return '\r';
            case 'n': return '\n';
            case '\\':
            case '"':
            case '[':
            case ']':
            case '-': return static_cast<uint32_t>(c);
            default: at_--; refuse("unknown escape");
        }
    }

    uint32_t parse_hex(int digits) {
        uint32_t value = 0;
        for (int i = 0; i < digits; i++, at_++) {
            const char   c     = peek();
            const char * all   = "0123456789abcdefABCDEF";
            const char * found = c ? std::strchr(all, c) : nullptr;
            if (!found) {
                refuse("hexadecimal digits are missing");
            }
            const auto digit = static_cast<uint32_t>(found - all);
            value            = value << 4 | (digit < 16 ? digit : digit - 6);
        }
        return value;
    }

    // The text is known to be valid UTF-8.
    uint32_t parse_utf8() {
        const auto first = static_cast<unsigned char>(text_[at_++]);
        const int  more  = first < 0x80 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
        uint32_t   value = more == 0 ? first : first & (0x3Fu >> more);
        for (int i = 0; i < more; i++) {
            value = value << 6 | (static_cast<unsigned char>(text_[at_++]) & 0x3F);
        }
        return value;
    }

    // A token is written as <[id]> or, if its text is in angle brackets, as that text: <think>
    uint32_t parse_token() {
        const size_t begin = at_;
        if (!take('<')) {
            refuse("'<' is missing");
        }
        uint32_t token = 0;
        if (take('[')) {
            token = parse_int(INT32_MAX);
            if (!take(']') || !take('>')) {
                refuse("']>' is missing");
            }
        } else {
            const size_t end = text_.find('>', at_);
            if (end == std::string::npos) {
                refuse("'>' is missing");
            }
            at_   = end + 1;
            token = find_token(begin, at_);
        }
        if (!vocab_) {
            refuse("a token can be named only for a model in this process");
        }
        if (token >= static_cast<uint32_t>(llama_vocab_n_tokens(vocab_))) {
            refuse("there is no such token");
        }
        return token;
    }

    uint32_t find_token(size_t begin, size_t end) const {
        llama_token tokens[2];
        if (!vocab_) {
            return 0;
        }
        if (llama_tokenize(vocab_, text_.data() + begin, static_cast<int32_t>(end - begin), tokens, 2, false, true) !=
            1) {
            refuse("there is no such token");
        }
        return static_cast<uint32_t>(tokens[0]);
    }

    uint32_t parse_int(uint32_t max) {
        if (!is_digit(peek())) {
            refuse("a number is missing");
        }
        uint64_t value = 0;
        for (; is_digit(peek()); at_++) {
            value = value * 10 + static_cast<uint64_t>(peek() - '0');
            if (value > max) {
                refuse("a number is too large");
            }
        }
        return static_cast<uint32_t>(value);
    }

    void parse_repetition(GbnfItem & item, bool newlines) {
        const char c = peek();
        at_++;
        item.min = c == '+' ? 1 : 0;
        item.max = c == '?' ? 1 : GbnfItem::no_max;
        if (c != '{') {
            return;
        }
        skip_space(newlines);
        item.min = parse_int(grammar_limits::repetitions);
        item.max = item.min;
        skip_space(newlines);
        if (take(',')) {
            skip_space(newlines);
            item.max = is_digit(peek()) ? parse_int(grammar_limits::repetitions) : GbnfItem::no_max;
            skip_space(newlines);
        }
        if (!take('}')) {
            refuse("'}' is missing");
        }
        if (item.max < item.min) {
            refuse("the minimum of repetitions is above the maximum");
        }
    }

    const std::string &             text_;
    const llama_vocab *             vocab_;
    size_t                          at_ = 0;
    Gbnf                            out_;
    std::map<std::string, uint32_t> names_;
    std::map<std::string, size_t>   first_at_;  // where each rule's name comes first
    std::string                     rule_;      // that is being read
    std::map<CharSet, uint32_t>     set_ids_;
};

}  // namespace

Gbnf parse_gbnf(const std::string & text, const llama_vocab * vocab) {
    if (text.size() > grammar_limits::text_bytes) {
        fail(LUUP_ERROR_INVALID_SCHEMA, "grammar: it has %zu bytes; at most %zu are allowed", text.size(),
             grammar_limits::text_bytes);
    }
    if (text.find('\0') != std::string::npos || utf8_find_invalid(text) != std::string_view::npos) {
        fail(LUUP_ERROR_INVALID_SCHEMA, "grammar: the text is not valid UTF-8");
    }
    return Parser(text, vocab).parse();
}

}  // namespace luup
