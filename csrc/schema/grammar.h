// Writes plans as GBNF, llama.cpp's notation for grammars.
#pragma once

#include "schema/plans.h"
#include "schema/spacing.h"

#include <string>

namespace luup {

// Throws Error(LUUP_ERROR_INVALID_SCHEMA) if the grammar would be larger than 512 KB.
std::string write_grammar(const SchemaPlans & plans, const std::string & prefix, Spacing spacing);

// Whether the grammar allows what SchemaGuard has to refuse: repeated names in an object, equal items where uniqueItems
// is set, or strings that are too long.
bool allows_too_much(const SchemaPlans & plans);

}  // namespace luup
