// Splits text by the regular expressions of llama.cpp's pre-tokenizers, in linear time and constant stack.
//
// llama.cpp uses std::regex for the pre-tokenizers that it has no loop of its own for (gpt-oss, DeepSeek, Tekken,
// Falcon, BLOOM, ...). libstdc++'s matcher recurses once per character: 26,700 letters in a row overflow an 8 MB stack.
// pretokenizer_regex.patch calls pretokenizer::split() instead; the words are the same.
//
// How it works: the expression becomes a Thompson automaton whose alternatives are ordered, as ECMAScript orders them,
// and that automaton becomes a deterministic one, a state at a time as the text needs them. A match starts where the
// last one ended. An attempt that reads far beyond its match is remembered, so that a later attempt that reaches the
// same state at the same place ends there: without that, a long run of spaces would be read again from each of its
// characters.
#pragma once

#include "pretokenizer_program.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace pretokenizer {

// The deterministic automaton of an expression. Not thread-safe.
class Automaton {
  public:
    explicit Automaton(const std::vector<uint32_t> & pattern) {
        Compiler compiled(pattern);
        program_ = std::move(compiled.program);
        make_groups(compiled.classes);
        visited_.resize(program_.size());
        kept_.resize(program_.size());
        start_ = state_of({ 0 });
    }

    // Calls word(begin, end) for each match in [0, n) of the units that unit(i) gives. Matches are not empty.
    template <typename Unit, typename Word> void matches(size_t n, Unit unit, Word word) {
        memory_.clear();
        for (size_t begin = 0; begin < n;) {
            const size_t end = match(begin, n, unit);
            if (end > begin) {
                word(begin, end);
                begin = end;
            } else {
                begin++;
            }
        }
    }

    // Units read by all attempts so far: for tests, which check that a long text is not read again and again.
    uint64_t units_read() const { return units_read_; }

  private:
    struct Step {
        int32_t next    = unknown;
        bool    matched = false;  // the text before this unit is a match
    };
    static constexpr int32_t unknown = -2;
    static constexpr int32_t dead    = -1;
    static constexpr size_t  far     = 64;  // units read beyond a match that make an attempt worth remembering

    // The longest-preferred match that begins at `begin`: its end, or `begin` if there is none.
    template <typename Unit> size_t match(size_t begin, size_t n, Unit unit) {
        int32_t state = start_;
        size_t  end   = begin;
        trail_.clear();
        for (size_t at = begin;; at++) {
            const size_t remembered = at - memory_begin_;  // at >= memory_begin_: attempts move forwards
            if (remembered < memory_.size() && memory_[remembered] == state && at > begin) {
                return memory_end_ >= at ? memory_end_ : end;
            }
            trail_.push_back(state);
            units_read_++;
            const size_t group = at == n ? groups_ : group_of(unit(at));
            const Step   step  = take(state, group);
            if (step.matched) {
                end = at;
            }
            if (step.next == dead) {
                if (at - end > far) {
                    memory_.swap(trail_);
                    memory_begin_ = begin;
                    memory_end_   = end > begin ? end : 0;
                }
                return end;
            }
            state = step.next;
        }
    }

    Step take(int32_t state, size_t group) {
        const size_t index = static_cast<size_t>(state) * (groups_ + 1) + group;
        if (steps_[index].next == unknown) {
            const Step step = make_step(state, group);
            steps_[index]   = step;  // only now: make_step() may have made the table grow
        }
        return steps_[index];
    }

    // Follows the threads of a state in their order of preference, for a unit of `group`, or groups_ for the end.
    Step make_step(int32_t state, size_t group) {
        Step                step;
        std::vector<size_t> next;
        std::fill(visited_.begin(), visited_.end(), false);
        std::fill(kept_.begin(), kept_.end(), false);
        const std::vector<size_t> threads = states_[static_cast<size_t>(state)];
        std::vector<size_t>       todo;
        for (size_t t = 0; t < threads.size() && !step.matched; t++) {
            todo.push_back(threads[t]);
            while (!todo.empty() && !step.matched) {
                const size_t at = todo.back();
                todo.pop_back();
                if (visited_[at]) {
                    continue;
                }
                visited_[at]          = true;
                const Instruction & i = program_[at];
                switch (i.kind) {
                    case Instruction::Split:
                        todo.push_back(i.b);
                        todo.push_back(i.a);
                        break;
                    case Instruction::Jump: todo.push_back(i.a); break;
                    case Instruction::End:
                        if (group == groups_) {
                            todo.push_back(at + 1);
                        }
                        break;
                    case Instruction::Ahead:
                    case Instruction::NotAhead:
                        if (contains(i.a, group) == (i.kind == Instruction::Ahead)) {
                            todo.push_back(at + 1);
                        }
                        break;
                    case Instruction::Match: step.matched = true; break;
                    case Instruction::Unit:
                        if (contains(i.a, group) && !kept_[at + 1]) {
                            kept_[at + 1] = true;
                            next.push_back(at + 1);
                        }
                        break;
                }
            }
            if (step.matched) {
                break;  // threads after the one that matched are not preferred
            }
            todo.clear();
        }
        step.next = next.empty() ? dead : state_of(std::move(next));
        return step;
    }

    int32_t state_of(std::vector<size_t> threads) {
        const auto known = ids_.find(threads);
        if (known != ids_.end()) {
            return known->second;
        }
        const auto id = static_cast<int32_t>(states_.size());
        states_.push_back(threads);
        ids_.emplace(std::move(threads), id);
        steps_.resize(states_.size() * (groups_ + 1));
        return id;
    }

    // Units that all classes treat alike are a group.
    void make_groups(const std::vector<Ranges> & classes) {
        starts_ = { 0 };
        for (const Ranges & ranges : classes) {
            for (const auto & range : ranges) {
                starts_.push_back(range.first);
                starts_.push_back(range.second + 1);
            }
        }
        std::sort(starts_.begin(), starts_.end());
        starts_.erase(std::unique(starts_.begin(), starts_.end()), starts_.end());
        std::map<std::vector<bool>, size_t> groups;
        for (const uint32_t start : starts_) {
            std::vector<bool> members;
            for (const Ranges & ranges : classes) {
                const auto after = std::upper_bound(ranges.begin(), ranges.end(), std::make_pair(start, UINT32_MAX));
                members.push_back(after != ranges.begin() && std::prev(after)->second >= start);
            }
            const auto [group, is_new] = groups.emplace(members, groups.size());
            if (is_new) {
                members_.push_back(members);
            }
            group_at_.push_back(group->second);
        }
        groups_ = groups.size();
        for (uint32_t unit = 0; unit < 256; unit++) {
            low_[unit] = find_group(unit);
        }
    }

    size_t find_group(uint32_t unit) const {
        const auto after = std::upper_bound(starts_.begin(), starts_.end(), unit);
        return group_at_[static_cast<size_t>(after - starts_.begin()) - 1];
    }
    size_t group_of(uint32_t unit) const { return unit < 256 ? low_[unit] : find_group(unit); }
    bool   contains(size_t cls, size_t group) const { return group != groups_ && members_[group][cls]; }

    std::vector<Instruction>               program_;
    std::vector<std::vector<bool>>         members_;  // of a group: the classes that contain it
    std::vector<uint32_t>                  starts_;  // of runs of units of one group
    std::vector<size_t>                    group_at_;  // as starts_
    size_t                                 low_[256] = {};
    size_t                                 groups_   = 0;
    std::vector<std::vector<size_t>>       states_;  // threads: instructions, the preferred one first
    std::map<std::vector<size_t>, int32_t> ids_;
    std::vector<Step>                      steps_;  // by state and group
    int32_t                                start_ = 0;
    std::vector<bool>                      visited_, kept_;

    std::vector<int32_t> trail_;  // states of the attempt under way, from its beginning on
    std::vector<int32_t> memory_;  // of an earlier attempt that read far beyond its match
    size_t               memory_begin_ = 0;
    size_t               memory_end_   = 0;  // where that one's match ended; 0 = no match
    uint64_t             units_read_   = 0;
};

template <typename CharT> uint32_t as_unit(CharT c) {
    return sizeof(CharT) == 1 ? static_cast<unsigned char>(c) : static_cast<uint32_t>(c);
}

// The calling thread's automaton of an expression, made once.
template <typename CharT> Automaton & automaton_of(const std::basic_string<CharT> & expression) {
    static thread_local std::map<std::basic_string<CharT>, std::unique_ptr<Automaton>> automata;
    std::unique_ptr<Automaton> &                                                       automaton = automata[expression];
    if (!automaton) {
        std::vector<uint32_t> pattern;
        for (const CharT c : expression) {
            pattern.push_back(as_unit(c));
        }
        automaton = std::make_unique<Automaton>(pattern);
    }
    return *automaton;
}

// Calls word(begin, end) for the parts between the matches of (?=(\d{3})+(?!\d)): groups of three digits, counted from
// the end of a run of digits. This look-ahead is not for one character, so it has a loop of its own.
template <typename Unit, typename Word> void thousands(size_t n, Unit unit, Word word) {
    const auto is_digit = [&](size_t i) { return unit(i) >= '0' && unit(i) <= '9'; };
    size_t     begin    = 0;
    for (size_t at = 0; at < n;) {
        size_t end = at;
        while (end < n && is_digit(end)) {
            end++;
        }
        for (size_t cut = at + (end - at) % 3; cut < end; cut += 3) {
            if (cut > begin) {
                word(begin, cut);
                begin = cut;
            }
        }
        at = end + 1;
    }
}

// Splits each of the consecutive pieces of `text` whose lengths are `pieces` into the matches of `expression` and the
// parts between them; returns the lengths. Throws std::regex_error for an expression that it does not support.
template <typename CharT>
std::vector<size_t> split(const std::basic_string<CharT> & text, const std::basic_string<CharT> & expression,
                          const std::vector<size_t> & pieces) {
    std::vector<size_t> lengths;
    lengths.reserve(pieces.size());
    size_t     start = 0, seen = 0;
    const auto unit = [&](size_t i) { return as_unit(text[start + i]); };
    const auto word = [&](size_t begin, size_t end) {
        if (begin > seen) {
            lengths.push_back(begin - seen);
        }
        lengths.push_back(end - begin);
        seen = end;
    };
    static const std::string thousands_expression = "(?=(\\d{3})+(?!\\d))";
    const bool               is_thousands =
        std::equal(expression.begin(), expression.end(), thousands_expression.begin(), thousands_expression.end());
    for (const size_t piece : pieces) {
        seen = 0;
        if (is_thousands) {
            thousands(piece, unit, word);
        } else if (piece > 0) {
            automaton_of(expression).matches(piece, unit, word);
        }
        if (seen < piece) {
            lengths.push_back(piece - seen);
        }
        start += piece;
    }
    return lengths;
}

}  // namespace pretokenizer
