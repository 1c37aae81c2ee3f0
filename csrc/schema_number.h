// Numbers of a schema: exact decimals, and the digits that lie within bounds as grammar text.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace luup {

// A decimal number in plain digits: no leading zeros before the point ("0" if nothing is there), no trailing ones behind it.
struct Decimal {
    bool        negative = false;
    std::string whole    = "0";
    std::string fraction;

    static Decimal from(const nlohmann::ordered_json & number);

    bool is_zero() const { return whole == "0" && fraction.empty(); }
};

// Digits without leading zeros, "0" if nothing is left.
std::string without_leading_zeros(const std::string & digits);

int compare(const Decimal & a, const Decimal & b);

// -1, 0, 1: two JSON numbers, exactly where both are integers.
int compare_numbers(const nlohmann::ordered_json & a, const nlohmann::ordered_json & b);

// Whether `number` is a whole multiple of `step`, as decimals.
bool is_multiple(const nlohmann::ordered_json & number, const nlohmann::ordered_json & step);

// Whether a JSON number has no fractional part: 1.0 has none.
bool is_integral(const nlohmann::ordered_json & number);

// Whether a double holds it exactly, as 0.25 and 3 and not 0.1.
bool is_binary_fraction(const Decimal & number);

struct NumberRange {
    bool                   integer = false;
    std::optional<Decimal> min, max;
    bool                   above_min = false, below_max = false;  // the bound itself is left out
    std::vector<Decimal>   steps;                                 // multiples of each

    void at_least(const Decimal & bound, bool exclusive);
    void at_most(const Decimal & bound, bool exclusive);
};

// The numbers of a range as the right side of grammar rules. `rules` are helper rules in front of which the caller puts its prefix where the text says '@'.
struct NumberGrammar {
    std::string                                      expression;  // "" if the range is empty
    std::vector<std::pair<std::string, std::string>> rules;
    std::optional<std::vector<int64_t>>              values;      // of an integer range with at most 64 of them
};

// Throws std::length_error if the numbers can't be told by a grammar of reasonable size.
NumberGrammar number_grammar(const NumberRange & range);

}  // namespace luup
