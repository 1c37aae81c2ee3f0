// Grammar text for digits: the parts of which the grammars of numbers consist.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace luup {

std::string any_digits(size_t n);
std::string digit_range(char low, char high);

// Returns the alternatives in parentheses, if they are more than one.
std::string one_of(const std::vector<std::string> & alternatives);

std::string sequence(const std::string & first, const std::string & rest);

// Return the next and the previous number of some digits; 0 has no previous one.
std::string incremented(std::string digits);
std::string decremented(std::string digits);

// Appends alternatives for the integers from `first` on, 0 or more, to `last` if there is one.
void add_integers(std::string first, const std::optional<std::string> & last, std::vector<std::string> & out);

}  // namespace luup
