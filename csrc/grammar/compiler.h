// Compiles a GBNF grammar to a program.
#pragma once

#include "grammar/gbnf.h"
#include "grammar/program.h"

namespace luup {

// Throws Error(LUUP_ERROR_INVALID_SCHEMA) if the grammar is left-recursive, too large, or matches no text.
GrammarProgram compile_grammar(const Gbnf & gbnf);

}  // namespace luup
