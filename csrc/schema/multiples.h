// The multiples of one or more steps within a range, as a grammar.
#pragma once

#include "schema/number.h"

namespace luup {

// Throws std::length_error with the reason if the steps have too many digits or need too many rules.
NumberGrammar multiples_grammar(const NumberRange & range);

}  // namespace luup
