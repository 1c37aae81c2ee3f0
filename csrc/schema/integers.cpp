#include "schema/integers.h"

#include "schema/digits.h"
#include "schema/limits.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace luup {

namespace {

Decimal integer(const std::string & digits, bool negative) {
    Decimal out;
    out.whole    = digits;
    out.negative = negative && digits != "0";
    return out;
}

// Returns the least integer that a lower bound allows. For an upper bound, negate the bound and the result.
Decimal first_integer(const Decimal & bound, bool exclusive) {
    const bool next = exclusive || !bound.fraction.empty();
    if (!next || (bound.negative && !bound.fraction.empty())) {
        return integer(bound.whole, bound.negative);
    }
    return integer(bound.negative ? decremented(bound.whole) : incremented(bound.whole), bound.negative);
}

// Returns the integers as numbers if they are few.
std::optional<std::vector<int64_t>> listed(const IntegerBounds & bounds) {
    if (!bounds.low || !bounds.high || bounds.low->whole.size() > schema_limits::bound_digits ||
        bounds.high->whole.size() > schema_limits::bound_digits) {
        return std::nullopt;
    }
    const auto    number = [](const Decimal & d) { return d.negative ? -std::stoll(d.whole) : std::stoll(d.whole); };
    const int64_t low = number(*bounds.low), high = number(*bounds.high);
    if (static_cast<uint64_t>(high) - static_cast<uint64_t>(low) >= schema_limits::listed_values) {
        return std::nullopt;
    }
    std::vector<int64_t> out;
    for (int64_t v = low; v <= high; v++) {
        out.push_back(v);
    }
    return out;
}

}  // namespace

IntegerBounds integer_bounds(const NumberRange & range) {
    IntegerBounds out;
    if (range.min) {
        out.low = first_integer(*range.min, range.above_min);
    }
    if (range.max) {
        out.high = negated(first_integer(negated(*range.max), range.below_max));
    }
    return out;
}

NumberGrammar integer_grammar(const NumberRange & range) {
    NumberGrammar       out;
    const IntegerBounds bounds = integer_bounds(range);
    const auto &        low    = bounds.low;
    const auto &        high   = bounds.high;
    if (low && high && compare(*low, *high) > 0) {
        return out;
    }
    const auto magnitude = [](const std::optional<Decimal> & d) {
        return d ? std::optional<std::string>(d->whole) : std::nullopt;
    };
    std::vector<std::string> all;
    if (!high || !high->negative) {
        add_integers(low && !low->negative ? low->whole : "0", magnitude(high), all);
    }
    if (!low || low->negative) {
        std::vector<std::string> negative;
        add_integers(high && high->negative ? high->whole : "1", magnitude(low), negative);
        all.push_back("\"-\" " + one_of(negative));
    }
    out.expression = one_of(all);
    out.values     = listed(bounds);
    return out;
}

}  // namespace luup
