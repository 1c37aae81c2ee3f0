#include "schema/number_grammar.h"

#include "schema/decimals.h"
#include "schema/integers.h"
#include "schema/multiples.h"

namespace luup {

NumberGrammar number_grammar(const NumberRange & range) {
    if (!range.steps.empty()) {
        return multiples_grammar(range);
    }
    return range.integer ? integer_grammar(range) : decimal_grammar(range);
}

}  // namespace luup
