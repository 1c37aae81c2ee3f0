#include "schema/multiples.h"

#include "schema/digits.h"
#include "schema/integers.h"
#include "schema/limits.h"

#include <algorithm>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace luup {

namespace {

// Returns value * 10^places if it is an integer of at most 18 digits.
std::optional<int64_t> scaled(const Decimal & d, size_t places) {
    if (d.fraction.size() > places) {
        return std::nullopt;
    }
    const std::string digits =
        without_leading_zeros(d.whole + d.fraction + std::string(places - d.fraction.size(), '0'));
    if (digits.size() > schema_limits::bound_digits) {
        return std::nullopt;
    }
    const int64_t value = std::stoll(digits);
    return d.negative ? -value : value;
}

uint64_t power_of_ten(size_t n) {
    uint64_t out = 1;
    for (size_t i = 0; i < n; i++) {
        out *= 10;
    }
    return out;
}

std::string with_point(uint64_t value, size_t places) {
    std::string digits = std::to_string(value);
    if (places == 0) {
        return digits;
    }
    if (digits.size() <= places) {
        digits.insert(0, places + 1 - digits.size(), '0');
    }
    return digits.substr(0, digits.size() - places) + "." + digits.substr(digits.size() - places);
}

// Builds rules that follow the digits of the multiples of `step`, in units of 10^-places, by their remainder.
class MultipleRules {
  public:
    MultipleRules(uint64_t step, size_t places, NumberGrammar & out) : step_(step), places_(places), out_(out) {}

    // Whether build_from() can be called.
    bool is_small() const { return step_ <= schema_limits::remainders; }

    // Returns alternatives for the multiples from low on, 0 <= low.
    std::vector<std::string> build_from(uint64_t low) {
        // Numbers of the digits of the lower bound first, then all that have more.
        const size_t             length = std::max(places_ + 1, std::to_string(low).size());
        std::vector<std::string> all    = build(low, power_of_ten(length) - 1);
        std::string              next;
        name_classes();
        for (uint64_t digit = 1; digit <= 9; digit++) {
            all.push_back("\"" + std::to_string(digit) + "\" " + more(digit % step_, length - places_));
        }
        return all;
    }

    // Returns alternatives for the multiples from low to high, 0 <= low.
    std::vector<std::string> build(uint64_t low, uint64_t high) {
        std::vector<std::string> all;
        for (size_t length = std::max(places_ + 1, std::to_string(low).size());
             length <= std::max(places_ + 1, std::to_string(high).size()); length++) {
            low_  = padded(low, length, '0');
            high_ = padded(high, length, '9');
            tight_.clear();
            const std::string start = state(length, low_.size() == length, high_.size() == length, 0, true);
            if (!start.empty()) {
                all.push_back("@" + start);
            }
        }
        return all;
    }

  private:
    // Two remainders are of one class if the same digits lead from both to multiples. Each class gets a rule for the
    // digits of its numbers that follow.
    void name_classes() {
        if (!class_rules_.empty()) {
            return;
        }
        std::vector<size_t> classes(step_);
        for (uint64_t r = 0; r < step_; r++) {
            classes[r] = places_ == 0 && r == 0;
        }
        std::map<std::string, size_t> ends;
        for (uint64_t r = 0; r < step_ && places_ > 0; r++) {
            classes[r] = ends.emplace(state(places_, false, false, r, false), ends.size()).first->second;
        }
        for (size_t n = 0;;) {
            std::map<std::vector<size_t>, size_t> found;
            std::vector<size_t>                   finer(step_);
            for (uint64_t r = 0; r < step_; r++) {
                std::vector<size_t> key = { classes[r] };
                for (uint64_t digit = 0; digit <= 9; digit++) {
                    key.push_back(classes[(r * 10 + digit) % step_]);
                }
                finer[r] = found.emplace(std::move(key), found.size()).first->second;
            }
            classes = std::move(finer);
            if (found.size() == n) {
                break;
            }
            n = found.size();
        }
        const std::string prefix = "o" + std::to_string(places_) + "-" + std::to_string(out_.rules.size()) + "-";
        std::set<size_t>  written;
        for (uint64_t r = 0; r < step_; r++) {
            class_rules_.push_back(prefix + std::to_string(classes[r]));
        }
        for (uint64_t r = 0; r < step_; r++) {
            if (written.insert(classes[r]).second) {
                std::map<std::string, std::string> digits_to;
                for (uint64_t digit = 0; digit <= 9; digit++) {
                    digits_to[class_rules_[(r * 10 + digit) % step_]] += std::to_string(digit);
                }
                std::string body = end_of(r);
                for (const auto & [next, digits] : digits_to) {
                    body += (body.empty() ? "[" : " | [") + digits + "] @" + next;
                }
                out_.rules.emplace_back(class_rules_[r], body);
            }
        }
    }

    // Returns the text that ends a number whose digits before the point have this remainder; "" if there is none.
    std::string end_of(uint64_t residue) {
        if (places_ == 0) {
            return residue == 0 ? "\"\"" : "";
        }
        const std::string digits = state(places_, false, false, residue, false);
        return digits.empty() ? "" : "\".\" @" + digits;
    }

    // Returns the rule for `n` digits or more that follow a remainder.
    std::string more(uint64_t residue, size_t n) {
        if (n == 0) {
            return "@" + class_rules_[residue];
        }
        const auto [it, added] = more_.emplace(std::make_pair(residue, n), "");
        if (added) {
            std::map<std::string, std::string> digits_to;
            for (uint64_t digit = 0; digit <= 9; digit++) {
                digits_to[more((residue * 10 + digit) % step_, n - 1)] += std::to_string(digit);
            }
            std::string body;
            for (const auto & [next, digits] : digits_to) {
                body += (body.empty() ? "[" : " | [") + digits + "] " + next;
            }
            const auto [known, fresh] =
                bodies_.emplace(body, "m" + std::to_string(places_) + "-" + std::to_string(out_.rules.size()));
            if (fresh) {
                out_.rules.emplace_back(known->second, body);
            }
            more_[{ residue, n }] = "@" + known->second;
        }
        return more_[{ residue, n }];
    }

    // Returns the bound with leading zeros, or "" if every number of this length is within it.
    std::string padded(uint64_t bound, size_t length, char side) const {
        std::string digits = std::to_string(bound);
        if (digits.size() < length && (side == '0' ? length > places_ + 1 : false)) {
            return "";
        }
        if (digits.size() > length) {
            return "";
        }
        digits.insert(0, length - digits.size(), '0');
        return digits;
    }

    // Returns the name of the rule for the remaining digits, "end" if there are none, "" if no digits lead to a
    // multiple.
    std::string state(size_t remaining, bool at_low, bool at_high, uint64_t residue, bool first) {
        if (remaining == 0) {
            return residue == 0 ? "end" : "";
        }
        const Key  key{ remaining, at_low, at_high, residue, first };
        auto &     names = at_low || at_high || first ? tight_ : loose_;
        const auto found = names.find(key);
        if (found != names.end()) {
            return found->second;
        }
        if (++n_rules_ > schema_limits::multiple_rules) {
            throw std::length_error("multipleOf is too large for the number of digits that the bounds allow");
        }
        std::map<std::string, std::string> digits_to;  // the digits that lead to each rule
        const size_t                       at = (at_low ? low_.size() : at_high ? high_.size() : remaining) - remaining;
        const char                         from = at_low ? low_[at] : '0', to = at_high ? high_[at] : '9';
        for (char d = from; d <= to; d++) {
            const bool leading_zero = first && d == '0' && remaining > places_ + 1;
            if (leading_zero) {
                continue;
            }
            const std::string next = state(remaining - 1, at_low && d == from, at_high && d == to,
                                           (residue * 10 + static_cast<uint64_t>(d - '0')) % step_, false);
            if (!next.empty()) {
                digits_to[next] += d;
            }
        }
        const std::string name = rule(digits_to, places_ > 0 && remaining == places_ + 1);
        names[key]             = name;
        return name;
    }

    // Equal right sides share a rule. If only the last digits decide about the remainder, few rules are needed.
    std::string rule(const std::map<std::string, std::string> & digits_to, bool point) {
        if (digits_to.empty()) {
            return "";
        }
        std::string body;
        for (const auto & [next, digits] : digits_to) {
            body += (body.empty() ? "" : " | ") + std::string("[") + digits + "]" + (point ? " \".\"" : "") +
                    (next == "end" ? "" : " @" + next);
        }
        const auto [it, added] =
            bodies_.emplace(body, "m" + std::to_string(places_) + "-" + std::to_string(out_.rules.size()));
        if (added) {
            out_.rules.emplace_back(it->second, body);
        }
        return it->second;
    }

    struct Key {
        size_t   remaining;
        bool     at_low, at_high;
        uint64_t residue;
        bool     first;

        bool operator<(const Key & o) const {
            return std::tie(remaining, at_low, at_high, residue, first) <
                   std::tie(o.remaining, o.at_low, o.at_high, o.residue, o.first);
        }
    };

    uint64_t                           step_;
    size_t                             places_;
    NumberGrammar &                    out_;
    std::string                        low_, high_;
    std::map<Key, std::string>         tight_, loose_;
    std::map<std::string, std::string> bodies_;
    std::vector<std::string>           class_rules_;  // of each remainder
    size_t                             n_rules_ = 0;

    std::map<std::pair<uint64_t, size_t>, std::string> more_;
};

struct Integers {
    int64_t low, high;
    bool    open_low = false, open_high = false;  // no bound: the numbers may be larger
};

uint64_t greatest_divisor(uint64_t a, uint64_t b) {
    while (b != 0) {
        std::swap(a, b);
        b %= a;
    }
    return a;
}

// Returns the least common multiple of all steps, and of 1 for integers, in units of 10^-places.
uint64_t common_step(const NumberRange & range, size_t places) {
    if (places > 15) {
        throw std::length_error("multipleOf has too many digits");
    }
    uint64_t   all = 1;
    const auto add = [&](uint64_t step) {
        const uint64_t factor = step / greatest_divisor(all, step);
        if (factor > static_cast<uint64_t>(schema_limits::beyond_bounds) / all) {
            throw std::length_error("the least common multiple of the multipleOf values is too large");
        }
        all *= factor;
    };
    for (const Decimal & step : range.steps) {
        const auto units = scaled(step, places);
        if (!units) {
            throw std::length_error("multipleOf has too many digits");
        }
        add(static_cast<uint64_t>(*units));
    }
    if (range.integer) {
        add(power_of_ten(places));
    }
    return all;
}

// Returns the bounds in units of 10^-places. An open side gets 9 digits for large steps, else 15: where it is not
// open_ended().
Integers unit_bounds(const NumberRange & range, size_t places, uint64_t step) {
    const auto shift = [&](const Decimal & d) {
        Decimal     out    = d;
        std::string digits = d.fraction + std::string(places, '0');
        out.whole          = without_leading_zeros(d.whole + digits.substr(0, places));
        out.fraction       = digits.substr(places);
        out.fraction.erase(out.fraction.find_last_not_of('0') + 1);
        return out;
    };
    NumberRange units;
    units.above_min = range.above_min;
    units.below_max = range.below_max;
    if (range.min) {
        units.min = shift(*range.min);
    }
    if (range.max) {
        units.max = shift(*range.max);
    }
    const IntegerBounds bounds = integer_bounds(units);
    const auto          number = [](const Decimal & d) {
        if (d.whole.size() > schema_limits::bound_digits) {
            throw std::length_error("bounds of a multipleOf may have at most 18 digits");
        }
        return d.negative ? -std::stoll(d.whole) : std::stoll(d.whole);
    };
    const int64_t open =
        std::max<int64_t>(step > 100 ? 999999999 : 999999999999999,
                          static_cast<int64_t>(std::min<uint64_t>(step, schema_limits::beyond_bounds / 10000)) * 1000);
    const auto wide = [&](int64_t other) {
        return other >= open ? std::min(schema_limits::beyond_bounds / 10, other) * 10 : open;
    };
    Integers out{ 0, 0, !bounds.low, !bounds.high };
    out.low  = bounds.low ? number(*bounds.low) : 0;
    out.high = bounds.high ? number(*bounds.high) : wide(out.low);
    out.low  = bounds.low ? out.low : -wide(-out.high);
    return out;
}

}  // namespace

NumberGrammar multiples_grammar(const NumberRange & range) {
    size_t places = 0;
    for (const Decimal & step : range.steps) {
        places = std::max(places, step.fraction.size());
    }
    uint64_t step = common_step(range, places);
    // If the common step is an integer, the numbers need no point.
    const uint64_t one    = power_of_ten(places);
    Integers       bounds = unit_bounds(range, places, step);
    if (places > 0 && step % one == 0) {
        NumberRange whole = range;
        whole.integer     = true;
        bounds            = unit_bounds(whole, 0, step / one);
        step /= one;
        places = 0;
    }
    NumberGrammar out;
    const int64_t unit  = static_cast<int64_t>(step);
    const int64_t first = bounds.low >= 0 ? (bounds.low + unit - 1) / unit : -(-bounds.low / unit);
    const int64_t last  = bounds.high >= 0 ? bounds.high / unit : -((-bounds.high + unit - 1) / unit);
    if (bounds.low > bounds.high || first > last) {
        return out;
    }
    const uint64_t n = static_cast<uint64_t>(last - first) + 1;
    MultipleRules  rules(step, places, out);
    const bool     is_open = (bounds.open_low || bounds.open_high) && rules.is_small();
    if (!is_open && n <= schema_limits::listed_steps && (n <= schema_limits::listed_values || step > 128)) {
        std::vector<std::string> all;
        std::vector<int64_t>     values;
        for (int64_t k = first; k <= last; k++) {
            const uint64_t size = static_cast<uint64_t>(k < 0 ? -k : k) * step;
            all.push_back("\"" + std::string(k < 0 ? "-" : "") + with_point(size, places) + "\"");
            values.push_back(k * unit);
        }
        out.expression = one_of(all);
        if (places == 0 && n <= schema_limits::listed_values) {
            out.values = values;
        }
        return out;
    }
    const auto between = [&](int64_t from, int64_t to, bool to_is_open) {
        const auto low = static_cast<uint64_t>(from * unit);
        return to_is_open && rules.is_small() ? rules.build_from(low)
                                              : rules.build(low, static_cast<uint64_t>(to * unit));
    };
    std::vector<std::string> all;
    if (last >= 0) {
        all = between(std::max<int64_t>(first, 0), last, bounds.open_high);
    }
    if (first < 0) {
        for (const std::string & a : between(-std::min<int64_t>(last, -1), -first, bounds.open_low)) {
            all.push_back("\"-\" " + a);
        }
    }
    out.expression = one_of(all);
    return out;
}

}  // namespace luup
