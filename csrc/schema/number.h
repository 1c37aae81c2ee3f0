// The numbers of a schema: exact decimals, ranges, and the grammars of ranges.
#pragma once

#include "base/json.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace luup {

// A decimal number in digits, without leading zeros before the point ("0" if it is below 1) and without trailing zeros
// after it.
struct Decimal {
    bool        negative = false;
    std::string whole    = "0";
    std::string fraction;

    static Decimal from(const Json & number);

    bool is_zero() const { return whole == "0" && fraction.empty(); }
};

// Returns the digits without leading zeros, "0" if none are left.
std::string without_leading_zeros(const std::string & digits);

// Returns -1, 0 or 1.
int compare(const Decimal & a, const Decimal & b);

Decimal negated(Decimal d);

// Compares two JSON numbers: exactly if both are integers, else as doubles.
int compare_numbers(const Json & a, const Json & b);

// Whether `number` is an integer multiple of `step`, computed in decimal.
// True as well for a double so large that its last digits are lost.
bool is_multiple(const Json & number, const Json & step);

// Whether a JSON number is an integer: 1.0 is.
bool is_integral(const Json & number);

// Whether a double can represent it exactly: 0.25 and 3, but not 0.1.
bool is_binary_fraction(const Decimal & number);

// The numbers between two bounds that are multiples of all `steps`.
struct NumberRange {
    bool                   integer = false;
    std::optional<Decimal> min, max;
    bool                   above_min = false, below_max = false;  // whether the bound is exclusive
    std::vector<Decimal>   steps;

    void at_least(const Decimal & bound, bool exclusive);
    void at_most(const Decimal & bound, bool exclusive);
};

// The numbers of a range as the right side of a GBNF rule.
struct NumberGrammar {
    std::string                                      expression;  // "" if the range is empty
    std::vector<std::pair<std::string, std::string>> rules;       // name and right side of additional rules
    std::optional<std::vector<int64_t>>              values;      // the numbers, if they are at most 64 integers

    // Names of `rules` are written as "@name": the caller replaces '@' by its prefix.
};

}  // namespace luup
