// Replaces the word boundaries of an automaton.
#pragma once

#include "schema/char_sets.h"
#include "schema/nfa.h"

namespace luup {

// Returns an automaton without boundaries that accepts the same texts. Whether a character is a part of a word depends
// on the reading: one that ECMA-262, Python and Rust take differently is next to a boundary in `around`, and next to
// neither a boundary nor its opposite in `within`. Throws std::invalid_argument if it would have too many states.
Nfa without_boundaries(const Nfa & nfa, Reading reading);

}  // namespace luup
