// GBNF text for literals and characters.
#pragma once

#include "base/ranges.h"

#include <string>
#include <vector>

namespace luup {

std::string literal(const std::string & text);
std::string char_class(const Ranges & set);

// Returns the alternatives by which a JSON string represents the characters of a set.
std::vector<std::string> json_characters(const Ranges & set);

// The same for plain text.
std::vector<std::string> text_characters(const Ranges & set);

// Joins alternatives by "|".
std::string choice(const std::vector<std::string> & alternatives);

}  // namespace luup
