// Finds the rule of a grammar that begins with itself, for the message that refuses it.
#pragma once

#include "grammar/gbnf.h"

#include <string>

namespace luup {

// Returns the name of a rule whose text may begin with the same rule again; "" if there is none.
std::string left_recursive_rule(const Gbnf & gbnf);

}  // namespace luup
