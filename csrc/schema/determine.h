// Builds the deterministic automaton of the strings that a schema allows.
#pragma once

#include "schema/dfa.h"
#include "schema/pattern.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace luup {

// A pattern that a string must match, or must not.
struct PatternUse {
    std::shared_ptr<const Pattern> pattern;
    bool                           positive;
    bool                           exact = false;  // read by ECMA-262 only: our own patterns are not ambiguous
};

// In code points.
struct LengthLimits {
    uint64_t                min = 0;
    std::optional<uint64_t> max;
    size_t                  most_states;  // of the automaton that counts
};

// Returns the automaton of the strings that satisfy all `uses` and `length` and are not `excluded`. Throws DfaTooLarge.
// Equal automata are built once a thread, and are one object: a model with a hundred mail addresses has one.
std::shared_ptr<const Dfa> find_dfa(const std::vector<PatternUse> & uses, const std::vector<std::string> & excluded,
                                    const LengthLimits & length);

}  // namespace luup
