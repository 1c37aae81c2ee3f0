// Grammars of integers.
#pragma once

#include "schema/number.h"

#include <optional>

namespace luup {

// The least and the greatest integer of a range; nullopt where it has no bound.
struct IntegerBounds {
    std::optional<Decimal> low, high;
};

IntegerBounds integer_bounds(const NumberRange & range);

NumberGrammar integer_grammar(const NumberRange & range);

}  // namespace luup
