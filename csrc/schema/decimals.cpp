#include "schema/decimals.h"

#include "schema/digits.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace luup {

namespace {

// A double has the same value with more digits; a small model that writes thirds must come to an end. Doubles have up
// to 308 digits before the point.
const char       any_fraction[] = "(\".\" [0-9]{1,60})?";
const char       first_digits[] = "[0-9]{1,60}";
const char       more_digits[]  = "[0-9]{0,60}";
constexpr size_t whole_digits   = 308;

// Whole numbers with more digits have a fraction or an exponent. Without them readers of JSON take them for integers,
// and some refuse integers beyond 64 bits where a float is expected: pydantic before 2.11 does.
constexpr size_t integer_digits = 18;

// Returns the text for a fraction that must be there, of the text for one that may be absent.
std::string required(const std::string & fraction) {
    const bool optional = !fraction.empty() && fraction.back() == '?';
    return optional ? fraction.substr(0, fraction.size() - 1) : fraction;
}

// Exponents of ten: doubles hold all numbers of one digit before the point with them.
constexpr int largest_exponent = 307;

double to_double(const Decimal & d) {
    const std::string text = (d.negative ? "-" : "") + d.whole + (d.fraction.empty() ? "" : "." + d.fraction);
    return read_json(text, "the number").get<double>();
}

// Returns the next number that a double can hold. Digits beyond those of a double are rounded, so only inclusive bounds
// can be compared digit by digit.
Decimal beside(const Decimal & bound, double direction) {
    return Decimal::from(Json(std::nextafter(to_double(bound), direction)));
}

// Rules that follow the digits behind the point along the digits of two bounds.
class FractionRules {
  public:
    explicit FractionRules(NumberGrammar & out) : out_(out) {}

    // Returns the text for an optional fraction of at least 0.`low` (more than zero if `above_zero`) and at most
    // 0.`high`; "!" if there is none. A bound that is null does not count.
    std::string between(const std::string * low, bool above_zero, const std::string * high) {
        low_   = low ? *low : "";
        high_  = high ? *high : "";
        above_ = low && above_zero;
        names_.clear();
        const State       start{ 0, low && (above_zero || !low_.empty()), high != nullptr };
        const std::string digits = rest(start, true);
        if (digits.empty()) {
            return start.at_low ? "!" : "";
        }
        return start.at_low ? "\".\" " + digits : "(\".\" " + digits + ")?";
    }

  private:
    // The digits so far are those of a bound.
    struct State {
        size_t at;
        bool   at_low, at_high;

        bool operator<(const State & o) const {
            return std::tie(at, at_low, at_high) < std::tie(o.at, o.at_low, o.at_high);
        }
    };

    static char digit(const std::string & bound, size_t at) { return at < bound.size() ? bound[at] : '0'; }

    bool accepts(const State & s) const { return !s.at_low || (!above_ && s.at >= low_.size()); }

    // Returns the text for the digits from a state on; "" if none lead to a number.
    std::string rest(State s, bool first = false) {
        s.at_low = s.at_low && (above_ || s.at < low_.size());
        if (!s.at_low && !s.at_high) {
            return first ? first_digits : more_digits;
        }
        if (!s.at_low && s.at >= high_.size()) {
            return first ? "\"0\"{1,2}" : "\"0\"{0,17}";  // zeros behind the bound
        }
        // Behind the digits of both bounds, all positions are alike.
        s.at                     = std::min(s.at, std::max(low_.size(), high_.size()));
        const auto [name, added] = names_.emplace(s, "");
        if (!added) {
            return name->second;
        }
        const std::string own = "f" + std::to_string(out_.rules.size());
        name->second          = "@" + own;
        const size_t index    = out_.rules.size();
        out_.rules.emplace_back(own, "");
        std::vector<std::string> all;
        if (!first && accepts(s)) {
            all.push_back("\"\"");
        }
        const char from = s.at_low ? digit(low_, s.at) : '0', to = s.at_high ? digit(high_, s.at) : '9';
        const auto add = [&](char a, char b, const State & next) {
            const std::string text = rest(next);
            if (!text.empty()) {
                all.push_back(digit_range(a, b) + " " + text);
            }
        };
        if (from == to) {
            add(from, to, { s.at + 1, s.at_low, s.at_high });
        } else if (from < to) {
            const char inner_from = static_cast<char>(from + s.at_low), inner_to = static_cast<char>(to - s.at_high);
            if (s.at_low) {
                add(from, from, { s.at + 1, true, false });
            }
            if (inner_from <= inner_to) {
                add(inner_from, inner_to, { s.at + 1, false, false });
            }
            if (s.at_high) {
                add(to, to, { s.at + 1, false, true });
            }
        }
        if (all.empty()) {
            // No digits: the rule is not used.
            out_.rules[index].second = "\"\"";
            names_[s]                = "";
            return "";
        }
        out_.rules[index].second = one_of(all);
        return "@" + own;
    }

    NumberGrammar &              out_;
    std::string                  low_, high_;
    bool                         above_ = false;
    std::map<State, std::string> names_;
};

// Returns the exponent of the first digit: 2 for 123, -2 for 0.012.
int exponent_of(const Decimal & d) {
    return d.whole != "0" ? static_cast<int>(d.whole.size()) - 1
                          : -static_cast<int>(d.fraction.find_first_not_of('0')) - 1;
}

bool is_power_of_ten(const Decimal & d) {
    const std::string digits = without_leading_zeros(d.whole + d.fraction);
    return digits[0] == '1' && digits.find_first_not_of('0', 1) == std::string::npos;
}

// Appends numbers such as 1.5e-7, with the exponents of which all such numbers are in the range.
void add_exponents(const Decimal & low, const Decimal * high, std::vector<std::string> & out) {
    const int from = std::max(-largest_exponent,
                              low.is_zero() ? -largest_exponent : exponent_of(low) + (is_power_of_ten(low) ? 0 : 1));
    const int to = std::min(largest_exponent,
                            high ? high->is_zero() ? -largest_exponent - 1 : exponent_of(*high) - 1 : largest_exponent);
    if (from > to) {
        return;
    }
    std::vector<std::string> all, digits;
    if (to >= 0) {
        add_integers(std::to_string(std::max(from, 0)), std::to_string(to), digits);
        all.push_back("\"+\"? \"0\"? " + one_of(digits));
    }
    if (from < 0) {
        digits.clear();
        add_integers(std::to_string(std::max(1, -to)), std::to_string(-from), digits);
        all.push_back("\"-\" \"0\"? " + one_of(digits));
    }
    out.push_back("[1-9] " + std::string(any_fraction) + " [eE] " + one_of(all));
}

// Appends alternatives for low <= x <= high, or for 0 < x with `above_zero`. low >= 0; high may be null.
void add_decimals(const Decimal & low, bool above_zero, const Decimal * high, NumberGrammar & grammar,
                  std::vector<std::string> & out) {
    FractionRules fractions(grammar);
    const auto    add_whole = [&](const std::string & whole, const std::string & fraction) {
        if (fraction != "!") {
            out.push_back(sequence("\"" + whole + "\"", whole.size() > integer_digits ? required(fraction) : fraction));
        }
    };
    if (high && low.whole == high->whole) {
        add_whole(low.whole, fractions.between(&low.fraction, above_zero, &high->fraction));
    } else {
        // A bound without a fraction allows its unit as a whole.
        std::string first = low.whole;
        if (above_zero || !low.fraction.empty()) {
            add_whole(low.whole, fractions.between(&low.fraction, above_zero, nullptr));
            first = incremented(first);
        }
        if (!high || first != high->whole) {
            const std::string        last = high ? decremented(high->whole) : std::string(whole_digits, '9');
            std::vector<std::string> shorter, longer;
            if (first.size() <= integer_digits) {
                add_integers(first, last.size() <= integer_digits ? last : std::string(integer_digits, '9'), shorter);
                out.push_back(one_of(shorter) + " " + any_fraction);
            }
            if (last.size() > integer_digits) {
                add_integers(first.size() > integer_digits ? first : "1" + std::string(integer_digits, '0'), last,
                             longer);
                out.push_back(one_of(longer) + " " + required(any_fraction));
            }
        }
        if (high) {
            add_whole(high->whole, fractions.between(nullptr, false, &high->fraction));
        }
    }
    add_exponents(low, high, out);
}

}  // namespace

NumberGrammar decimal_grammar(const NumberRange & range) {
    NumberGrammar out;
    if (!range.min && !range.max) {
        // Exponents that no double holds are left out.
        const std::string whole = "(\"0\" | [1-9] [0-9]{0," + std::to_string(integer_digits - 1) + "})";
        const std::string long_whole =
            "[1-9] [0-9]{" + std::to_string(integer_digits) + "," + std::to_string(whole_digits - 1) + "}";
        const std::string short_whole = "(\"0\" | [1-9] [0-9]{0,14})";
        const std::string fraction    = any_fraction;
        out.expression = "\"-\"? " + whole + " " + fraction + " | \"-\"? " + long_whole + " " + required(fraction) +
                         " | \"-\"? " + short_whole + " " + fraction + " [eE] [-+]? [0-9] [0-9]? | \"-\"? [1-9] " +
                         fraction + " [eE] [-+]? ([12] [0-9] [0-9] | \"30\" [0-7])";
        return out;
    }
    auto low = range.min, high = range.max;
    if (low && range.above_min && !low->is_zero()) {
        low = beside(*low, HUGE_VAL);
    }
    if (high && range.below_max && !high->is_zero()) {
        high = beside(*high, -HUGE_VAL);
    }
    const bool above_zero = low && low->is_zero() && range.above_min;
    const bool below_zero = high && high->is_zero() && range.below_max;
    if (low && high &&
        (compare(*low, *high) > 0 || (high->is_zero() && (above_zero || (below_zero && low->is_zero()))))) {
        return out;
    }
    const Decimal            zero;
    std::vector<std::string> all;
    if (!below_zero && (!high || !high->negative)) {
        const bool from_zero = !low || low->negative;
        add_decimals(from_zero ? zero : *low, above_zero, high ? &*high : nullptr, out, all);
    }
    if (!above_zero && (!low || low->negative)) {
        const bool               to_zero = !high || !high->negative;
        const Decimal            least = to_zero ? zero : negated(*high), most = low ? negated(*low) : zero;
        std::vector<std::string> negative;
        add_decimals(least, to_zero, low ? &most : nullptr, out, negative);  // without -0
        if (!negative.empty()) {
            all.push_back("\"-\" " + one_of(negative));
        }
    }
    out.expression = one_of(all);
    return out;
}

}  // namespace luup
