// Nondeterministic automata of regular expressions (Thompson's construction).
#pragma once

#include "base/ranges.h"
#include "schema/regex.h"

#include <cstdint>
#include <utility>
#include <vector>

namespace luup {

// Accepts texts in which the expression occurs anywhere.
struct Nfa {
    enum class Kind { chars, split, begin, end, boundary, no_boundary, match };
    struct State {
        Kind   kind;
        Ranges set;         // of chars
        int    next  = -1;  // -1: no state
        int    other = -1;  // of split

        static State chars(Ranges set, int next) { return { Kind::chars, std::move(set), next, -1 }; }
        static State split(int next, int other) { return { Kind::split, {}, next, other }; }
        static State begin(int next) { return { Kind::begin, {}, next, -1 }; }
        static State end(int next) { return { Kind::end, {}, next, -1 }; }
        static State boundary(int next) { return { Kind::boundary, {}, next, -1 }; }
        static State no_boundary(int next) { return { Kind::no_boundary, {}, next, -1 }; }
        static State match() { return { Kind::match, {}, -1, -1 }; }
    };
    std::vector<State> states;
    int                start = 0;
};

// Returns an automaton that may have the kinds `boundary` and `no_boundary`, see word_boundaries.h. Throws
// std::invalid_argument if it would have too many states.
Nfa build_nfa(const Regex & regex);

// Whether the expression of an automaton without boundaries occurs in a text.
bool search(const Nfa & nfa, const std::vector<uint32_t> & codes);

}  // namespace luup
