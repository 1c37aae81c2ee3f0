// The grammar of the numbers of a range.
#pragma once

#include "schema/number.h"

namespace luup {

// Throws std::length_error with the reason if the range has no grammar of acceptable size.
NumberGrammar number_grammar(const NumberRange & range);

}  // namespace luup
