#include "schema/regex.h"

#include "schema/limits.h"

#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>

namespace luup {

namespace {

[[noreturn]] void refuse(const std::string & why) {
    throw std::invalid_argument(why);
}

RegexPtr make_tree(Regex::Kind kind) {
    auto tree  = std::make_shared<Regex>();
    tree->kind = kind;
    return tree;
}

RegexPtr make_chars(Ranges set) {
    auto tree = make_tree(Regex::Kind::chars);
    tree->set = std::move(set);
    return tree;
}

class Parser {
  public:
    Parser(std::vector<uint32_t> text, Reading reading) : text_(std::move(text)), reading_(reading) {}

    RegexPtr parse() {
        // Rust's and Python's flag for the whole expression, behind the "^" of a look-ahead's own part, too.
        const size_t flags = peek() == '^' ? 1 : 0;
        if (peek(flags) == '(' && peek(flags + 1) == '?' && peek(flags + 2) == 'i' && peek(flags + 3) == ')') {
            text_.erase(text_.begin() + static_cast<std::ptrdiff_t>(flags),
                        text_.begin() + static_cast<std::ptrdiff_t>(flags) + 4);
            ignores_case_ = true;
        }
        RegexPtr tree = choice();
        if (!at_end()) {
            refuse("unmatched ')'");
        }
        return tree;
    }

  private:
    bool at_end() const { return position_ >= text_.size(); }

    uint32_t peek(size_t ahead = 0) const { return position_ + ahead < text_.size() ? text_[position_ + ahead] : 0; }

    bool take(uint32_t c) {
        if (at_end() || peek() != c) {
            return false;
        }
        position_++;
        return true;
    }

    RegexPtr choice() {
        auto tree = make_tree(Regex::Kind::choice);
        do {
            tree->parts.push_back(sequence());
        } while (take('|'));
        return tree->parts.size() == 1 ? tree->parts[0] : tree;
    }

    RegexPtr sequence() {
        auto tree = make_tree(Regex::Kind::sequence);
        while (!at_end() && peek() != '|' && peek() != ')') {
            tree->parts.push_back(quantified());
        }
        return tree;
    }

    RegexPtr quantified() {
        const bool group = peek() == '(';
        RegexPtr   unit  = atom();
        uint64_t   min = 0, max = 0;
        if (!quantifier(min, max)) {
            return unit;
        }
        if (!group && is_assertion(*unit)) {
            refuse("a quantifier has nothing to repeat");
        }
        take('?');  // lazy quantifiers match the same strings
        if (peek() == '+' || peek() == '*' || peek() == '?') {
            refuse(peek() == '+' ? "possessive quantifiers are not supported" : "a quantifier has nothing to repeat");
        }
        auto tree   = make_tree(Regex::Kind::repeat);
        tree->parts = { unit };
        tree->min   = min;
        tree->max   = max;
        return tree;
    }

    static bool is_assertion(const Regex & unit) {
        return unit.kind == Regex::Kind::begin || unit.kind == Regex::Kind::end || unit.kind == Regex::Kind::boundary ||
               unit.kind == Regex::Kind::no_boundary;
    }

    bool quantifier(uint64_t & min, uint64_t & max) {
        if (take('*')) {
            max = Regex::no_maximum;
        } else if (take('+')) {
            min = 1;
            max = Regex::no_maximum;
        } else if (take('?')) {
            max = 1;
        } else if (!at_end() && peek() == '{') {
            position_++;
            braces(min, max);
        } else {
            return false;
        }
        return true;
    }

    void braces(uint64_t & min, uint64_t & max) {
        min = max = number();
        if (take(',')) {
            max = peek() == '}' ? Regex::no_maximum : number();
        }
        if (!take('}')) {
            refuse("a counted repetition must be {n}, {n,} or {n,m}");
        }
        if (max < min) {
            refuse("a counted repetition has its maximum below its minimum");
        }
    }

    uint64_t number() {
        uint64_t value = 0;
        if (peek() < '0' || peek() > '9') {
            refuse("a counted repetition must be {n}, {n,} or {n,m}");
        }
        while (peek() >= '0' && peek() <= '9') {
            value = value * 10 + (peek() - '0');
            position_++;
            if (value > schema_limits::repetitions) {
                refuse("a counted repetition is above 10,000");
            }
        }
        return value;
    }

    RegexPtr atom() {
        const uint32_t c = text_[position_++];
        switch (c) {
            case '(': return group();
            case '[': return make_chars(char_class());
            case '.': return make_chars(any_but_newline(reading_));
            case '^': return make_tree(Regex::Kind::begin);
            case '$': return end_of_text();
            case '\\':
                if (take('A')) {
                    return make_tree(Regex::Kind::begin);
                }
                if (take('z') || take('Z')) {
                    return make_tree(Regex::Kind::end);
                }
                if (take('b')) {
                    return make_tree(Regex::Kind::boundary);
                }
                if (take('B')) {
                    return make_tree(Regex::Kind::no_boundary);
                }
                return make_chars(escape(false));
            case '*':
            case '+':
            case '?':
            case '{': refuse("a quantifier has nothing to repeat");
            default: return make_chars(folded({ { c, c } }));
        }
    }

    // Returns the set with the letters of both cases, if the expression ignores case.
    Ranges folded(Ranges set) const {
        if (!ignores_case_) {
            return set;
        }
        if (set.back().second >= 0x80 && set.size() == 1) {
            refuse("(?i) is supported for the letters a to z only");
        }
        const uint32_t distance = 'a' - 'A';
        for (const auto & [first, last] : intersect_ranges(set, { { 'A', 'Z' } })) {
            set.emplace_back(first + distance, last + distance);
        }
        for (const auto & [first, last] : intersect_ranges(merge_ranges(set), { { 'a', 'z' } })) {
            set.emplace_back(first - distance, last - distance);
        }
        return merge_ranges(std::move(set));
    }

    // Python's `$` also matches before a last newline.
    RegexPtr end_of_text() {
        auto end = make_tree(Regex::Kind::end);
        if (reading_ != Reading::around) {
            return end;
        }
        auto newline   = make_tree(Regex::Kind::repeat);
        newline->parts = { make_chars({ { '\n', '\n' } }) };
        newline->max   = 1;
        auto tree      = make_tree(Regex::Kind::sequence);
        tree->parts    = { newline, end };
        return tree;
    }

    RegexPtr group() {
        if (take('?')) {
            const bool named = take('P') ? (peek() == '<' ? true : (refuse("back references are not supported"), false))
                                         : peek() == '<';
            if (named && peek(1) != '=' && peek(1) != '!') {
                while (!at_end() && !take('>')) {
                    position_++;
                }
            } else if (peek() == '=' || peek() == '!' || named) {
                refuse("look-ahead and look-behind are not supported");
            } else if (!take(':')) {
                refuse("groups with flags are not supported");
            }
        }
        if (++depth_ > schema_limits::groups) {
            refuse("groups are nested more than 100 levels deep");
        }
        RegexPtr tree = choice();
        depth_--;
        if (!take(')')) {
            refuse("unmatched '('");
        }
        return tree;
    }

    uint32_t hex(int digits) {
        uint32_t value = 0;
        for (int i = 0; i < digits; i++) {
            const uint32_t c = peek();
            const uint32_t d = c >= '0' && c <= '9'   ? c - '0'
                               : c >= 'a' && c <= 'f' ? c - 'a' + 10
                               : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                      : 16;
            if (at_end() || d == 16) {
                refuse("an escape lacks hexadecimal digits");
            }
            value = value * 16 + d;
            position_++;
        }
        return value;
    }

    uint32_t unicode_escape() {
        if (take('{')) {
            uint32_t value = 0;
            do {
                value = value * 16 + hex(1);
                if (value > last_code_point) {
                    refuse("an escape is beyond U+10FFFF");
                }
            } while (!take('}'));
            return value;
        }
        const uint32_t first = hex(4);
        if (first >= 0xD800 && first <= 0xDBFF && peek() == '\\' && peek(1) == 'u') {
            position_ += 2;
            const uint32_t second = hex(4);
            if (second < 0xDC00 || second > 0xDFFF) {
                refuse("an escape is half of a surrogate pair");
            }
            return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        }
        return first;
    }

    Ranges escape(bool in_class) {
        if (at_end()) {
            refuse("it ends with a backslash");
        }
        const uint32_t c    = text_[position_++];
        const auto     only = [](uint32_t code) { return Ranges{ { code, code } }; };
        switch (c) {
            case 'd':
            case 'D':
            case 'w':
            case 'W':
            case 's':
            case 'S': return shorthand(c, reading_);
            case 't': return only('\t');
            case 'n': return only('\n');
            case 'r': return only('\r');
            case 'f': return only('\f');
            case 'v': return only('\v');
            case 'x': return only(hex(2));
            case 'u': return only(unicode_escape());
            case 'c': return control();
            case 'b':
                if (in_class) {
                    return only('\b');
                }
                break;
            case '0':
                if (peek() < '0' || peek() > '9') {
                    return only(0);
                }
                break;
            default: break;
        }
        if (c == 'p' || c == 'P') {
            return property(c == 'P');
        }
        if ((c >= '0' && c <= '9') || c == 'k') {
            refuse("back references are not supported");
        }
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
            refuse(std::string("\\") + static_cast<char>(c) + " is not supported");
        }
        return only(c);
    }

    // \p{L} or \pL.
    Ranges property(bool negated) {
        std::string name;
        if (take('{')) {
            while (!at_end() && !take('}')) {
                name += static_cast<char>(text_[position_++]);
            }
        } else if (!at_end()) {
            name = std::string(1, static_cast<char>(text_[position_++]));
        }
        const auto set = unicode_property(name, negated, reading_);
        if (!set) {
            refuse("the Unicode property " + name + " is not supported: only L, Lu, Ll, N and Nd are");
        }
        return *set;
    }

    // [:alpha:] inside of a class.
    Ranges posix_class() {
        const bool  negated = take('^');
        std::string name;
        while (!at_end() && peek() != ':') {
            name += static_cast<char>(text_[position_++]);
        }
        if (!take(':') || !take(']')) {
            refuse("[: in a class must be a POSIX class such as [:alpha:]");
        }
        const auto set = posix_set(name);
        if (!set) {
            refuse("the POSIX class [:" + name + ":] is unknown");
        }
        return negated ? invert_ranges(*set, last_code_point) : *set;
    }

    Ranges control() {
        const uint32_t c = peek() | 32;
        if (c < 'a' || c > 'z') {
            refuse("\\c needs a letter");
        }
        position_++;
        return { { c & 31, c & 31 } };
    }

    Ranges class_member() {
        const uint32_t c = text_[position_++];
        return c == '\\' ? escape(true) : Ranges{ { c, c } };
    }

    Ranges char_class() {
        const bool negated = take('^');
        if (negated) {
            reading_ = opposite(reading_);
        }
        Ranges set;
        while (!at_end() && peek() != ']') {
            if (peek() == '[' && peek(1) == ':') {
                position_ += 2;
                const Ranges posix = posix_class();
                set.insert(set.end(), posix.begin(), posix.end());
                continue;
            }
            Ranges first = class_member();
            if (peek() == '-' && peek(1) != ']' && position_ + 1 < text_.size()) {
                position_++;
                const Ranges last = class_member();
                if (first.size() != 1 || last.size() != 1 || first[0].first != first[0].second ||
                    last[0].first != last[0].second || last[0].first < first[0].first) {
                    refuse("a range in [] is out of order");
                }
                first[0].second = last[0].second;
            }
            set.insert(set.end(), first.begin(), first.end());
        }
        if (!take(']')) {
            refuse("unmatched '['");
        }
        set = merge_ranges(std::move(set));
        if (!set.empty()) {
            set = folded(std::move(set));
        }
        if (negated) {
            reading_ = opposite(reading_);
            set      = invert_ranges(set, last_code_point);
        }
        return set;
    }

    std::vector<uint32_t> text_;
    size_t                position_     = 0;
    size_t                depth_        = 0;
    bool                  ignores_case_ = false;
    Reading               reading_;
};

}  // namespace

RegexPtr parse_regex(std::vector<uint32_t> text, Reading reading) {
    return Parser(std::move(text), reading).parse();
}

}  // namespace luup
