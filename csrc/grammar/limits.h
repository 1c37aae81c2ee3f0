// Limits of grammars and of the work of matching them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace luup::grammar_limits {

// The text of a grammar.
constexpr size_t   text_bytes  = 4 << 20;
constexpr uint32_t repetitions = 100000;
constexpr int      parentheses = 200;  // inside each other

// The compiled program.
constexpr size_t nodes     = 1 << 20;
constexpr int    factoring = 200;  // levels of alternatives whose common beginnings are merged

// Matching.
constexpr size_t threads      = 50000;            // of one state
constexpr size_t state_bytes  = size_t(1) << 29;  // of all states of a grammar
constexpr size_t full_bytes   = 32 << 20;         // memory of states from which matchers change to new ones
constexpr size_t forced_bytes = 256;              // text that is found to be the only continuation

// The search for a continuation that the guard accepts. With more choices than that, one exists in practice.
constexpr size_t continuations = 100;  // allowed tokens after one text
constexpr size_t tries         = 400;  // tokens tried in one search

}  // namespace luup::grammar_limits
