// Checks of a matcher that several files of cases use.
#pragma once

#include "grammar/matcher.h"

#include <cstdint>
#include <string>
#include <vector>

// Files of grammars to match besides: `--grammar FILE`.
std::vector<std::string> & grammar_files();

// Whether the grammar is refused as an invalid one.
bool is_refused(const std::string & gbnf);

// Checks that allowed(), forced() and must_end() agree with what the matcher says token by token; returns that, 1 for
// each token that is allowed.
std::vector<uint8_t> check_allowed(const luup::Matcher & matcher);
