// A schema as prompts show it to a model.
#pragma once

#include "base/json.h"

#include <string>

namespace luup {

// Returns a schema that means the same to a reader, as compact JSON:
// - Definitions are written in the place of each reference, because small models copy the text of a "$ref" into their
// answers.
//   Recursive ones stay, and so do all if the text would become more than twice as long.
// - Long regular expressions beside a "format" are left out: they cost many tokens, and the grammar enforces them.
std::string prompt_text(const Json & schema);

}  // namespace luup
