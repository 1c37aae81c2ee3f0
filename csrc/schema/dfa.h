// Deterministic automata of strings.
#pragma once

#include "base/ranges.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <vector>

namespace luup {

// State 0 is the start; an automaton without states accepts nothing.
struct Dfa {
    struct Edge {
        Ranges set;
        int    target;
    };
    struct State {
        std::vector<Edge> edges;
        bool              accepts = false;
    };
    std::vector<State> states;
};

struct DfaTooLarge : std::length_error {
    DfaTooLarge() : std::length_error("its automaton is too large: use a simpler pattern or a smaller maxLength") {}
};

// Returns the automaton without states that are unreachable or lead to no accepting state.
Dfa trimmed(const Dfa & dfa);

// Returns the automaton with equivalent states merged.
Dfa minimised(const Dfa & dfa);

// Return the length of the longest accepted text, npos if there is no limit, and of the shortest one. The automaton
// must be trimmed and not empty.
size_t longest(const Dfa & dfa);
size_t shortest(const Dfa & dfa);

// Returns the length of the shortest text from each state to an accepting one. The automaton must be trimmed.
std::vector<uint32_t> distances_to_end(const Dfa & dfa);

// Returns the automaton of the accepted texts with min to max characters, min or more without `max`. Throws DfaTooLarge
// if it has more than `most` states.
Dfa counted(const Dfa & dfa, uint64_t min, std::optional<uint64_t> max, size_t most);

}  // namespace luup
