// Checks of a compiled grammar.
#pragma once

#include "grammar/program.h"

#include <cstdint>
#include <vector>

namespace luup {

// Returns for each node whether some text leads from there to the end of its rule.
std::vector<uint8_t> productive_nodes(const GrammarProgram & program);

// Whether matching could call rules without end before it reads a character. Rules that only start again, such as
// `a ::= b? a | "x"`, are allowed: they leave nothing to do after the call.
bool is_left_recursive(const GrammarProgram & program);

}  // namespace luup
