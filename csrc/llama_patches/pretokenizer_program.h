// Compiles the regular expression of a pre-tokenizer to a program of instructions, a Thompson automaton whose
// alternatives are ordered; see pretokenizer_regex.h.
//
// Supported: alternatives, groups, greedy ? * + {n} {n,} {n,m}, classes, \s \S \d \D \w \W, escapes, $,
// and look-ahead for one character of a class. Everything else is refused with std::regex_error when the expression is
// compiled, so that a new pre-tokenizer cannot be misread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <regex>
#include <utility>
#include <vector>

namespace pretokenizer {

using Ranges = std::vector<std::pair<uint32_t, uint32_t>>;  // inclusive, of code units

constexpr uint32_t last_unit = 0x10FFFF;

// Sorts the ranges and joins those that touch.
inline Ranges normalised(Ranges ranges) {
    std::sort(ranges.begin(), ranges.end());
    Ranges joined;
    for (const auto & range : ranges) {
        if (!joined.empty() && range.first <= joined.back().second + 1) {
            joined.back().second = std::max(joined.back().second, range.second);
        } else {
            joined.push_back(range);
        }
    }
    return joined;
}

inline Ranges complement(const Ranges & ranges) {
    Ranges   rest;
    uint32_t next = 0;
    for (const auto & range : normalised(ranges)) {
        if (range.first > next) {
            rest.emplace_back(next, range.first - 1);
        }
        next = range.second + 1;
    }
    if (next <= last_unit) {
        rest.emplace_back(next, last_unit);
    }
    return rest;
}

struct Instruction {
    enum Kind { Unit, Split, Jump, Ahead, NotAhead, End, Match } kind;
    size_t a = 0;  // Unit, Ahead, NotAhead: the class; Split: the preferred target; Jump: the target
    size_t b = 0;  // Split: the other target
};

// Compiles an expression. The grammar is ECMAScript's, as far as the comment at the top says.
class Compiler {
  public:
    explicit Compiler(const std::vector<uint32_t> & pattern) : pattern_(pattern) {
        alternatives();
        if (at_ != pattern_.size()) {
            fail(std::regex_constants::error_paren);
        }
        program.push_back({ Instruction::Match });
    }

    std::vector<Instruction> program;
    std::vector<Ranges>      classes;

  private:
    [[noreturn]] static void fail(std::regex_constants::error_type type) { throw std::regex_error(type); }

    bool     done() const { return at_ == pattern_.size(); }
    uint32_t peek(size_t ahead = 0) const { return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : 0; }
    bool     accept(uint32_t unit) {
        if (done() || peek() != unit) {
            return false;
        }
        at_++;
        return true;
    }
    void expect(uint32_t unit, std::regex_constants::error_type type) {
        if (!accept(unit)) {
            fail(type);
        }
    }

    size_t add_class(Ranges ranges) {
        classes.push_back(normalised(std::move(ranges)));
        return classes.size() - 1;
    }

    // Inserts an instruction before those from `at` on, whose targets move along. A target outside stays: it meant the
    // beginning of what follows, which is the new instruction now.
    void insert(size_t at, Instruction instruction) {
        for (size_t p = at; p < program.size(); p++) {
            Instruction & i = program[p];
            if (i.kind == Instruction::Split || i.kind == Instruction::Jump) {
                i.a += i.a >= at;
                i.b += i.b >= at;
            }
        }
        program.insert(program.begin() + static_cast<std::ptrdiff_t>(at), instruction);
    }

    void alternatives() {
        const size_t        begin = program.size();
        std::vector<size_t> jumps;
        sequence();
        size_t first = begin;
        while (accept('|')) {
            insert(first, { Instruction::Split, first + 1, program.size() + 2 });
            jumps.push_back(program.size());
            program.push_back({ Instruction::Jump });
            first = program.size();
            sequence();
        }
        for (const size_t jump : jumps) {
            program[jump].a = program.size();
        }
    }

    void sequence() {
        while (!done() && peek() != '|' && peek() != ')') {
            const size_t begin = program.size();
            if (accept('$')) {
                program.push_back({ Instruction::End });
                continue;
            }
            if (peek() == '(' && peek(1) == '?' && (peek(2) == '=' || peek(2) == '!')) {
                look_ahead();
                continue;
            }
            atom();
            quantify(begin);
        }
    }

    void look_ahead() {
        const Instruction::Kind kind  = peek(2) == '=' ? Instruction::Ahead : Instruction::NotAhead;
        const size_t            begin = program.size();
        at_ += 3;
        atom();
        if (program.size() != begin + 1 || program.back().kind != Instruction::Unit) {
            fail(std::regex_constants::error_complexity);
        }
        program.back().kind = kind;
        expect(')', std::regex_constants::error_paren);
    }

    void atom() {
        if (accept('(')) {
            if (accept('?')) {
                expect(':', std::regex_constants::error_paren);
            }
            alternatives();
            expect(')', std::regex_constants::error_paren);
        } else if (accept('[')) {
            program.push_back({ Instruction::Unit, add_class(bracket()) });
        } else if (accept('.')) {
            program.push_back({ Instruction::Unit, add_class(complement({ { '\n', '\n' }, { '\r', '\r' } })) });
        } else if (accept('\\')) {
            program.push_back({ Instruction::Unit, add_class(escape()) });
        } else if (done() || peek() == '*' || peek() == '+' || peek() == '?' || peek() == '{' || peek() == '^') {
            fail(std::regex_constants::error_badrepeat);
        } else {
            const uint32_t unit = pattern_[at_++];
            program.push_back({ Instruction::Unit, add_class({ { unit, unit } }) });
        }
    }

    // Repeats what was compiled from `begin` on.
    void quantify(size_t begin) {
        size_t least = 1, most = 1;  // most = 0: no limit
        if (accept('?')) {
            least = 0;
        } else if (accept('*')) {
            least = most = 0;
        } else if (accept('+')) {
            most = 0;
        } else if (accept('{')) {
            least = most = number();
            if (accept(',')) {
                most = peek() == '}' ? 0 : number();
            }
            expect('}', std::regex_constants::error_brace);
            if (least == 0 && most == 0) {
                fail(std::regex_constants::error_badbrace);
            }
        } else {
            return;
        }
        if (!done() && (peek() == '?' || peek() == '*' || peek() == '+' || peek() == '{')) {
            fail(std::regex_constants::error_badrepeat);  // lazy or doubled
        }
        const std::vector<Instruction> unit(program.begin() + static_cast<std::ptrdiff_t>(begin), program.end());
        program.resize(begin);
        for (size_t i = 0; i < least; i++) {
            append(unit, begin);
        }
        if (most == 0) {
            const size_t split = program.size();
            program.push_back({ Instruction::Split, split + 1, 0 });
            append(unit, begin);
            program.push_back({ Instruction::Jump, split });
            program[split].b = program.size();
            return;
        }
        std::vector<size_t> splits;
        for (size_t i = least; i < most; i++) {
            splits.push_back(program.size());
            program.push_back({ Instruction::Split, program.size() + 1, 0 });
            append(unit, begin);
        }
        for (const size_t split : splits) {
            program[split].b = program.size();
        }
    }

    void append(const std::vector<Instruction> & unit, size_t begin) {
        const size_t shift = program.size() - begin;
        for (Instruction i : unit) {
            if (i.kind == Instruction::Split || i.kind == Instruction::Jump) {
                i.a += shift;
                i.b += shift;
            }
            program.push_back(i);
        }
        if (program.size() > 100000) {
            fail(std::regex_constants::error_complexity);
        }
    }

    size_t number() {
        size_t value = 0;
        if (done() || peek() < '0' || peek() > '9') {
            fail(std::regex_constants::error_badbrace);
        }
        while (!done() && peek() >= '0' && peek() <= '9') {
            value = value * 10 + (pattern_[at_++] - '0');
            if (value > 10000) {
                fail(std::regex_constants::error_badbrace);
            }
        }
        return value;
    }

    // The class that an escape stands for; the backslash was read. As in the classic locale: ASCII only.
    Ranges escape() {
        if (done()) {
            fail(std::regex_constants::error_escape);
        }
        const uint32_t unit  = pattern_[at_++];
        const Ranges   space = { { 9, 13 }, { ' ', ' ' } };
        const Ranges   digit = { { '0', '9' } };
        const Ranges   word  = { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } };
        switch (unit) {
            case 's': return space;
            case 'S': return complement(space);
            case 'd': return digit;
            case 'D': return complement(digit);
            case 'w': return word;
            case 'W': return complement(word);
            case 'n': return { { '\n', '\n' } };
            case 'r': return { { '\r', '\r' } };
            case 't': return { { '\t', '\t' } };
            case 'f': return { { '\f', '\f' } };
            case 'v': return { { '\v', '\v' } };
            default: break;
        }
        const bool letter =
            (unit >= 'a' && unit <= 'z') || (unit >= 'A' && unit <= 'Z') || (unit >= '0' && unit <= '9');
        if (letter) {
            fail(std::regex_constants::error_escape);
        }
        return { { unit, unit } };
    }

    // A class in brackets; the first bracket was read.
    Ranges bracket() {
        const bool negated = accept('^');
        Ranges     all;
        while (true) {
            if (done()) {
                fail(std::regex_constants::error_brack);
            }
            if (accept(']')) {
                break;
            }
            Ranges item = bracket_item();
            if (peek() == '-' && peek(1) != ']' && at_ + 1 < pattern_.size() && single(item)) {
                at_++;
                const Ranges end = bracket_item();
                if (!single(end) || end[0].first < item[0].first) {
                    fail(std::regex_constants::error_range);
                }
                item[0].second = end[0].first;
            }
            all.insert(all.end(), item.begin(), item.end());
        }
        return negated ? complement(all) : all;
    }

    Ranges bracket_item() {
        const uint32_t unit = pattern_[at_++];
        if (unit == '[' && (peek() == ':' || peek() == '.' || peek() == '=')) {
            fail(std::regex_constants::error_ctype);
        }
        return unit == '\\' ? escape() : Ranges{ { unit, unit } };
    }

    static bool single(const Ranges & ranges) { return ranges.size() == 1 && ranges[0].first == ranges[0].second; }

    const std::vector<uint32_t> & pattern_;
    size_t                        at_ = 0;
};

}  // namespace pretokenizer
