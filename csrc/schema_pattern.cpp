#include "schema_pattern.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <stdexcept>

namespace luup {

namespace {

constexpr uint32_t max_code       = 0x10FFFF;
constexpr uint64_t max_repetition = 10000;
constexpr size_t   max_nfa_states = 20000;
constexpr size_t   max_groups     = 100;  // in each other

[[noreturn]] void refuse(const std::string & why) {
    throw std::invalid_argument(why);
}

CodeSet inverse(const CodeSet & set) {
    return invert_ranges(set, max_code);
}

CodeSet merged(CodeSet a, const CodeSet & b) {
    a.insert(a.end(), b.begin(), b.end());
    return merge_ranges(std::move(a));
}

Reading opposite(Reading reading) {
    return reading == Reading::exact ? Reading::exact : reading == Reading::within ? Reading::around
                                                                                   : Reading::within;
}

const CodeSet ascii_digits = { { '0', '9' } };
const CodeSet ascii_word   = { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } };
const CodeSet beyond_ascii = { { 0x80, max_code } };
const CodeSet ecma_space   = { { 9, 13 }, { 32, 32 }, { 0xA0, 0xA0 }, { 0x1680, 0x1680 }, { 0x2000, 0x200A }, { 0x2028, 0x2029 }, { 0x202F, 0x202F }, { 0x205F, 0x205F }, { 0x3000, 0x3000 }, { 0xFEFF, 0xFEFF } };

// Every decimal digit of Unicode lies in these, with room to spare; letters of the great scripts don't.
const CodeSet around_digits = { { '0', '9' }, { 0x0530, 0x1CFF }, { 0xA620, 0xABFF }, { 0xFF10, 0xFF19 }, { 0x10000, max_code } };

// \d, \w and \s; their capitals are the opposite.
CodeSet shorthand(uint32_t letter, Reading reading) {
    if (letter == 'D' || letter == 'W' || letter == 'S') {
        return inverse(shorthand(letter + 32, opposite(reading)));
    }
    switch (letter) {
        case 'd': return reading == Reading::around ? around_digits : ascii_digits;
        case 'w': return reading == Reading::around ? merged(ascii_word, beyond_ascii) : ascii_word;
        default: break;
    }
    if (reading == Reading::exact) {
        return ecma_space;
    }
    return reading == Reading::within ? CodeSet{ { 9, 13 }, { 32, 32 } } : merged(ecma_space, { { 0x1C, 0x1F }, { 0x85, 0x85 } });
}

CodeSet any_but_newline(Reading reading) {
    return inverse(reading == Reading::around ? CodeSet{ { '\n', '\n' } } : CodeSet{ { '\n', '\n' }, { '\r', '\r' }, { 0x2028, 0x2029 } });
}

struct Tree {
    enum class Kind { empty,
                      chars,
                      begin,
                      end,
                      sequence,
                      choice,
                      repeat };
    Kind                               kind;
    CodeSet                            set;
    std::vector<std::shared_ptr<Tree>> parts;
    uint64_t                           min = 0, max = 0;  // of repeat
};

using TreePtr = std::shared_ptr<Tree>;

constexpr uint64_t no_maximum = UINT64_MAX;

TreePtr make_tree(Tree::Kind kind) {
    auto tree  = std::make_shared<Tree>();
    tree->kind = kind;
    return tree;
}

TreePtr make_chars(CodeSet set) {
    auto tree = make_tree(Tree::Kind::chars);
    tree->set = std::move(set);
    return tree;
}

class Parser {
  public:
    Parser(std::vector<uint32_t> text, Reading reading) : text_(std::move(text)), reading_(reading) {}

    TreePtr parse() {
        TreePtr tree = choice();
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

    TreePtr choice() {
        auto tree = make_tree(Tree::Kind::choice);
        do {
            tree->parts.push_back(sequence());
        } while (take('|'));
        return tree->parts.size() == 1 ? tree->parts[0] : tree;
    }

    TreePtr sequence() {
        auto tree = make_tree(Tree::Kind::sequence);
        while (!at_end() && peek() != '|' && peek() != ')') {
            tree->parts.push_back(quantified());
        }
        return tree;
    }

    TreePtr quantified() {
        TreePtr  unit = atom();
        uint64_t min = 0, max = 0;
        if (!quantifier(min, max)) {
            return unit;
        }
        if (unit->kind == Tree::Kind::begin || unit->kind == Tree::Kind::end) {
            refuse("nothing to repeat");
        }
        take('?');  // lazy or greedy makes no difference to what matches
        if (peek() == '+' || peek() == '*' || peek() == '?') {
            refuse(peek() == '+' ? "possessive quantifiers can't be translated" : "nothing to repeat");
        }
        auto tree   = make_tree(Tree::Kind::repeat);
        tree->parts = { unit };
        tree->min   = min;
        tree->max   = max;
        return tree;
    }

    bool quantifier(uint64_t & min, uint64_t & max) {
        if (take('*')) {
            max = no_maximum;
        } else if (take('+')) {
            min = 1;
            max = no_maximum;
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
            max = peek() == '}' ? no_maximum : number();
        }
        if (!take('}')) {
            refuse("a counted repetition must be {n}, {n,} or {n,m}");
        }
        if (max < min) {
            refuse("a counted repetition ends below its start");
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
            if (value > max_repetition) {
                refuse("a repetition is counted beyond 10,000");
            }
        }
        return value;
    }

    TreePtr atom() {
        const uint32_t c = text_[position_++];
        switch (c) {
            case '(': return group();
            case '[': return make_chars(char_class());
            case '.': return make_chars(any_but_newline(reading_));
            case '^': return make_tree(Tree::Kind::begin);
            case '$': return end_of_text();
            case '\\': return make_chars(escape(false));
            case '*':
            case '+':
            case '?':
            case '{': refuse("nothing to repeat");
            default: return make_chars({ { c, c } });
        }
    }

    // Python's `$` also matches before a last newline.
    TreePtr end_of_text() {
        auto end = make_tree(Tree::Kind::end);
        if (reading_ != Reading::around) {
            return end;
        }
        auto newline   = make_tree(Tree::Kind::repeat);
        newline->parts = { make_chars({ { '\n', '\n' } }) };
        newline->max   = 1;
        auto tree      = make_tree(Tree::Kind::sequence);
        tree->parts    = { newline, end };
        return tree;
    }

    TreePtr group() {
        if (take('?')) {
            const bool named = take('P') ? (peek() == '<' ? true : (refuse("back references can't be translated"), false)) : peek() == '<';
            if (named && peek(1) != '=' && peek(1) != '!') {
                while (!at_end() && !take('>')) {
                    position_++;
                }
            } else if (peek() == '=' || peek() == '!' || named) {
                refuse("look-ahead and look-behind can't be translated");
            } else if (!take(':')) {
                refuse("a group with flags can't be translated");
            }
        }
        if (++depth_ > max_groups) {
            refuse("groups are nested more than 100 levels deep");
        }
        TreePtr tree = choice();
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
            const uint32_t d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                                            : c >= 'A' && c <= 'F'   ? c - 'A' + 10
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
                if (value > max_code) {
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

    CodeSet escape(bool in_class) {
        if (at_end()) {
            refuse("it ends with a backslash");
        }
        const uint32_t c    = text_[position_++];
        const auto     only = [](uint32_t code) { return CodeSet{ { code, code } }; };
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
                refuse("word boundaries can't be translated");
            case '0':
                if (peek() < '0' || peek() > '9') {
                    return only(0);
                }
                break;
            default: break;
        }
        if (c == 'p' || c == 'P') {
            refuse("Unicode properties can't be translated");
        }
        if ((c >= '0' && c <= '9') || c == 'k') {
            refuse("back references can't be translated");
        }
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
            refuse(std::string("\\") + static_cast<char>(c) + " can't be translated");
        }
        return only(c);
    }

    CodeSet control() {
        const uint32_t c = peek() | 32;
        if (c < 'a' || c > 'z') {
            refuse("\\c needs a letter");
        }
        position_++;
        return { { c & 31, c & 31 } };
    }

    CodeSet class_member() {
        const uint32_t c = text_[position_++];
        return c == '\\' ? escape(true) : CodeSet{ { c, c } };
    }

    CodeSet char_class() {
        const bool negated = take('^');
        if (negated) {
            reading_ = opposite(reading_);
        }
        CodeSet set;
        while (!at_end() && peek() != ']') {
            CodeSet first = class_member();
            if (peek() == '-' && peek(1) != ']' && position_ + 1 < text_.size()) {
                position_++;
                const CodeSet last = class_member();
                if (first.size() != 1 || last.size() != 1 || first[0].first != first[0].second || last[0].first != last[0].second ||
                    last[0].first < first[0].first) {
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
        if (negated) {
            reading_ = opposite(reading_);
            set      = inverse(set);
        }
        return set;
    }

    std::vector<uint32_t> text_;
    size_t                position_ = 0;
    size_t                depth_    = 0;
    Reading               reading_;
};

class NfaBuilder {
  public:
    Nfa build(const Tree & tree) {
        const int match         = add({ Nfa::Kind::match, {}, -1, -1 });
        const int body          = compile(tree, match);
        const int loop          = add({ Nfa::Kind::split, {}, body, -1 });
        const int any           = add({ Nfa::Kind::chars, { { 0, max_code } }, loop, -1 });
        nfa_.states[loop].other = any;
        nfa_.start              = loop;
        return std::move(nfa_);
    }

  private:
    int add(Nfa::State state) {
        if (nfa_.states.size() >= max_nfa_states) {
            refuse("it is too large");
        }
        nfa_.states.push_back(std::move(state));
        return static_cast<int>(nfa_.states.size()) - 1;
    }

    // The state from which `tree` leads to `next`.
    int compile(const Tree & tree, int next) {
        switch (tree.kind) {
            case Tree::Kind::empty: return next;
            case Tree::Kind::chars: return add({ Nfa::Kind::chars, tree.set, next, -1 });
            case Tree::Kind::begin: return add({ Nfa::Kind::begin, {}, next, -1 });
            case Tree::Kind::end: return add({ Nfa::Kind::end, {}, next, -1 });
            case Tree::Kind::sequence:
                for (size_t i = tree.parts.size(); i-- > 0;) {
                    next = compile(*tree.parts[i], next);
                }
                return next;
            case Tree::Kind::choice: {
                int all = compile(*tree.parts.back(), next);
                for (size_t i = tree.parts.size() - 1; i-- > 0;) {
                    all = add({ Nfa::Kind::split, {}, compile(*tree.parts[i], next), all });
                }
                return all;
            }
            case Tree::Kind::repeat: return repeat(tree, next);
        }
        return next;
    }

    int repeat(const Tree & tree, int next) {
        const Tree & unit = *tree.parts[0];
        int          tail = next;
        if (tree.max == no_maximum) {
            tail                   = add({ Nfa::Kind::split, {}, -1, next });
            const int body         = compile(unit, tail);
            nfa_.states[tail].next = body;
        } else {
            for (uint64_t i = tree.min; i < tree.max; i++) {
                tail = add({ Nfa::Kind::split, {}, compile(unit, tail), next });
            }
        }
        for (uint64_t i = 0; i < tree.min; i++) {
            tail = compile(unit, tail);
        }
        return tail;
    }

    Nfa nfa_;
};

bool contains(const CodeSet & set, uint32_t code) {
    auto it = std::upper_bound(set.begin(), set.end(), code, [](uint32_t c, const auto & range) { return c < range.first; });
    return it != set.begin() && code <= std::prev(it)->second;
}

// Adds the states that `from` reaches without a character.
void close(const Nfa & nfa, int from, bool at_begin, bool at_end, std::vector<bool> & seen, std::vector<int> & out) {
    std::vector<int> todo = { from };
    while (!todo.empty()) {
        const int s = todo.back();
        todo.pop_back();
        if (s < 0 || seen[s]) {
            continue;
        }
        seen[s]                  = true;
        const Nfa::State & state = nfa.states[s];
        out.push_back(s);
        if (state.kind == Nfa::Kind::split) {
            todo.push_back(state.next);
            todo.push_back(state.other);
        } else if ((state.kind == Nfa::Kind::begin && at_begin) || (state.kind == Nfa::Kind::end && at_end)) {
            todo.push_back(state.next);
        }
    }
}

}  // namespace

std::vector<uint32_t> code_points(std::string_view text) {
    std::vector<uint32_t> out;
    for (size_t i = 0; i < text.size();) {
        const auto   first  = static_cast<unsigned char>(text[i]);
        const size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2
                                             : first < 0xF0   ? 3
                                                              : 4;
        uint32_t     code   = length == 1 ? first : first & (0xFF >> (length + 1));
        for (size_t k = 1; k < length && i + k < text.size(); k++) {
            code = (code << 6) | (static_cast<unsigned char>(text[i + k]) & 0x3F);
        }
        out.push_back(code);
        i += length;
    }
    return out;
}

size_t count_code_points(std::string_view text) {
    return std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

namespace {

// The index behind the group that begins at `begin`; the size of the text if it doesn't end.
size_t end_of_group(const std::vector<uint32_t> & text, size_t begin) {
    int  depth    = 0;
    bool in_class = false;
    for (size_t i = begin; i < text.size(); i++) {
        const uint32_t c = text[i];
        if (c == '\\') {
            i++;
        } else if (in_class) {
            in_class = c != ']';
        } else if (c == '[') {
            in_class = true;
        } else if (c == '(') {
            depth++;
        } else if (c == ')' && --depth == 0) {
            return i + 1;
        }
    }
    return text.size();
}

bool search_part(const Nfa & nfa, const std::vector<uint32_t> & codes) {
    std::vector<int>  now;
    std::vector<bool> seen(nfa.states.size());
    close(nfa, nfa.start, true, codes.empty(), seen, now);
    for (size_t i = 0; i < codes.size(); i++) {
        std::vector<int> next;
        std::fill(seen.begin(), seen.end(), false);
        for (const int s : now) {
            if (nfa.states[s].kind == Nfa::Kind::match) {
                return true;
            }
            if (nfa.states[s].kind == Nfa::Kind::chars && contains(nfa.states[s].set, codes[i])) {
                close(nfa, nfa.states[s].next, false, i + 1 == codes.size(), seen, next);
            }
        }
        now = std::move(next);
    }
    return std::any_of(now.begin(), now.end(), [&](int s) { return nfa.states[s].kind == Nfa::Kind::match; });
}

}  // namespace

Pattern::Pattern(const std::string & source) : source_(source) {
    std::vector<uint32_t> text = code_points(source);
    // "^(?!a)b" is "^b" and not "^a".
    while (text.size() > 3 && text[0] == '^' && text[1] == '(' && text[2] == '?' && (text[3] == '!' || text[3] == '=')) {
        const bool            positive = text[3] == '=';
        const size_t          end      = end_of_group(text, 1);
        std::vector<uint32_t> ahead    = { '^', '(', '?', ':' };
        ahead.insert(ahead.end(), text.begin() + 4, text.begin() + end);
        text.erase(text.begin() + 1, text.begin() + end);
        add_part(std::move(ahead), positive);
        if (Parser(text, Reading::exact).parse()->kind == Tree::Kind::choice) {
            refuse("look-ahead in an alternative can't be translated");
        }
    }
    add_part(std::move(text), true);
}

void Pattern::add_part(std::vector<uint32_t> text, bool positive) {
    const auto build = [&](Reading reading) { return NfaBuilder().build(*Parser(text, reading).parse()); };
    parts_.push_back({ build(Reading::exact), build(Reading::within), build(Reading::around), positive });
}

bool Pattern::search(std::string_view text) const {
    const std::vector<uint32_t> codes = code_points(text);
    return std::all_of(parts_.begin(), parts_.end(), [&](const Part & part) { return search_part(part.exact, codes) == part.positive; });
}

}  // namespace luup
