// The decimal numbers of a range, as a grammar.
#pragma once

#include "schema/number.h"

namespace luup {

NumberGrammar decimal_grammar(const NumberRange & range);

}  // namespace luup
