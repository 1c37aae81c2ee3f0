// Plans as GBNF, llama.cpp's grammar text.
#pragma once

#include "schema.h"
#include "schema_normal.h"

#include <string>

namespace luup {

// Whether a unique array is made as a part of its listed values, in their order: then it needs no guard.
bool is_ordered_subset(const SchemaPlans & plans, const ArrayPlan & array);

// Throws Error if it would be larger than 512 KB.
std::string write_grammar(const SchemaPlans & plans, const std::string & prefix, Spacing spacing);

}  // namespace luup
