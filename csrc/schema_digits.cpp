// The numbers of a range as grammar text: integers and decimals digit by digit, multiples by an automaton of digits.
#include "schema_number.h"

#include <algorithm>
#include <functional>
#include <map>
#include <stdexcept>
#include <tuple>

namespace luup {

namespace {

constexpr int     free_digits  = 15;                   // of a number without a bound: a double holds them exactly
constexpr int64_t free_maximum = 999999999999999;      // 15 digits
constexpr int64_t most         = 9000000000000000000;  // of a bound
constexpr int64_t binary_steps = 999999;  // the greatest multiple of a step like 0.1: validators that divide in binary err beyond
constexpr size_t  few_values   = 64;
constexpr size_t  many_values  = 2000;   // listed one by one where no automaton fits
constexpr size_t  max_rules    = 20000;  // states of an automaton of digits

std::string any_digits(size_t n) {
    return n == 0 ? "" : n == 1 ? "[0-9]"
                                : "[0-9]{" + std::to_string(n) + "}";
}

std::string up_to_digits(size_t n) {
    return n == 0 ? "" : "[0-9]{0," + std::to_string(n) + "}";
}

std::string digit_range(char low, char high) {
    return low == high ? std::string("\"") + low + "\"" : std::string("[") + low + "-" + high + "]";
}

std::string join(const std::vector<std::string> & alternatives) {
    std::string out;
    for (const std::string & a : alternatives) {
        out += (out.empty() ? "" : " | ") + (a.empty() ? "\"\"" : a);
    }
    return alternatives.size() > 1 ? "(" + out + ")" : out;
}

std::string then(const std::string & first, const std::string & rest) {
    return rest.empty() || rest == "\"\"" ? first : first + " " + rest;
}

// Digits of the same length as `a` that are not below it.
std::string not_below(const std::string & a) {
    if (a.find_first_not_of('0') == std::string::npos) {
        return any_digits(a.size());
    }
    std::vector<std::string> out = { then(digit_range(a[0], a[0]), not_below(a.substr(1))) };
    if (a[0] < '9') {
        out.push_back(then(digit_range(static_cast<char>(a[0] + 1), '9'), any_digits(a.size() - 1)));
    }
    return join(out);
}

std::string not_above(const std::string & a) {
    if (a.find_first_not_of('9') == std::string::npos) {
        return any_digits(a.size());
    }
    std::vector<std::string> out;
    if (a[0] > '0') {
        out.push_back(then(digit_range('0', static_cast<char>(a[0] - 1)), any_digits(a.size() - 1)));
    }
    out.push_back(then(digit_range(a[0], a[0]), not_above(a.substr(1))));
    return join(out);
}

// Digits between `a` and `b`, all three of one length.
std::string between(const std::string & a, const std::string & b) {
    if (a.empty()) {
        return "";
    }
    if (a[0] == b[0]) {
        return then(digit_range(a[0], a[0]), between(a.substr(1), b.substr(1)));
    }
    std::vector<std::string> out;
    const bool               low_whole  = a.find_first_not_of('0', 1) == std::string::npos;
    const bool               high_whole = b.find_first_not_of('9', 1) == std::string::npos;
    const char               low = static_cast<char>(a[0] + (low_whole ? 0 : 1)), high = static_cast<char>(b[0] - (high_whole ? 0 : 1));
    if (!low_whole) {
        out.push_back(then(digit_range(a[0], a[0]), not_below(a.substr(1))));
    }
    if (low <= high) {
        out.push_back(then(digit_range(low, high), any_digits(a.size() - 1)));
    }
    if (!high_whole) {
        out.push_back(then(digit_range(b[0], b[0]), not_above(b.substr(1))));
    }
    return join(out);
}

// The integers from low to high, 0 <= low <= high, as alternatives.
void add_integers(uint64_t low, uint64_t high, std::vector<std::string> & out) {
    if (low == 0) {
        out.push_back("\"0\"");
        if (high == 0) {
            return;
        }
        low = 1;
    }
    const std::string first = std::to_string(low), last = std::to_string(high);
    // Lengths that are in the range as a whole become one alternative.
    size_t     from = first.size(), to = last.size();
    const bool first_whole = first == "1" + std::string(from - 1, '0'), last_whole = last == std::string(to, '9');
    if (from == to) {
        out.push_back(between(first, last));
        return;
    }
    if (!first_whole) {
        out.push_back(between(first, std::string(from, '9')));
        from++;
    }
    const size_t whole_to = last_whole ? to : to - 1;
    if (from == whole_to) {
        out.push_back(then("[1-9]", any_digits(from - 1)));
    } else if (from < whole_to) {
        out.push_back("[1-9] [0-9]{" + std::to_string(from - 1) + "," + std::to_string(whole_to - 1) + "}");
    }
    if (!last_whole) {
        out.push_back(between("1" + std::string(to - 1, '0'), last));
    }
}

Decimal negated(Decimal d) {
    d.negative = !d.negative && !d.is_zero();
    return d;
}

// The digits of a non-negative decimal plus one unit of their last place.
std::string incremented(std::string digits) {
    for (size_t i = digits.size(); i-- > 0;) {
        if (digits[i] != '9') {
            digits[i]++;
            return digits;
        }
        digits[i] = '0';
    }
    return "1" + digits;
}

// |d| with at most `places` digits behind the point, cut or rounded up.
Decimal rounded(const Decimal & d, size_t places, bool up) {
    if (d.fraction.size() <= places) {
        return d;
    }
    std::string digits = d.whole + d.fraction.substr(0, places);
    if (up) {
        digits = incremented(digits);
    }
    Decimal out;
    out.negative = d.negative;
    out.whole    = without_leading_zeros(digits.substr(0, digits.size() - places));
    out.fraction = digits.substr(digits.size() - places);
    out.fraction.erase(out.fraction.find_last_not_of('0') + 1);
    return out;
}

// --- integers ---

int64_t clamped(const Decimal & d) {
    const int64_t value = d.whole.size() > 18 ? most : std::stoll(d.whole);
    return d.negative ? -value : value;
}

// The least integer that the bound allows from below; for the greatest, call it with the sign turned.
int64_t first_integer(const Decimal & bound, bool exclusive) {
    const int64_t value = clamped(bound);
    if (!bound.fraction.empty()) {
        return bound.negative ? value : value + 1;
    }
    return exclusive ? value + 1 : value;
}

struct Integers {
    int64_t low, high;
};

// Where a side is open, 15 digits are allowed there, or a few more than the other side has.
Integers integer_bounds(const NumberRange & range) {
    const auto beyond = [](const std::optional<Decimal> & bound, bool negative) { return bound && bound->negative == negative && bound->whole.size() > 18; };
    if (beyond(range.min, false) || beyond(range.max, true)) {
        throw std::length_error("the bounds are too large: only numbers of at most 18 digits are made");
    }
    const int64_t low  = range.min ? first_integer(*range.min, range.above_min) : 0;
    const int64_t high = range.max ? -first_integer(negated(*range.max), range.below_max) : 0;
    const auto    wide = [](int64_t other) { return other >= free_maximum ? std::min(most / 10, other) * 10 : free_maximum; };
    Integers      out{ low, high };
    if (!range.min) {
        out.low = range.max ? -wide(-high) : -free_maximum;
    }
    if (!range.max) {
        out.high = range.min ? wide(low) : free_maximum;
    }
    return out;
}

std::string integers(int64_t low, int64_t high) {
    std::vector<std::string> out;
    if (high >= 0) {
        add_integers(static_cast<uint64_t>(std::max<int64_t>(low, 0)), static_cast<uint64_t>(high), out);
    }
    if (low < 0) {
        std::vector<std::string> negative;
        add_integers(static_cast<uint64_t>(-std::min<int64_t>(high, -1)), static_cast<uint64_t>(-low), negative);
        out.push_back("\"-\" " + join(negative));
    }
    return join(out);
}

// --- multiples ---

// value * 10^places as an integer, if it is one of at most 18 digits.
std::optional<int64_t> scaled(const Decimal & d, size_t places) {
    if (d.fraction.size() > places) {
        return std::nullopt;
    }
    const std::string digits = without_leading_zeros(d.whole + d.fraction + std::string(places - d.fraction.size(), '0'));
    if (digits.size() > 18) {
        return std::nullopt;
    }
    const int64_t value = std::stoll(digits);
    return d.negative ? -value : value;
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

// Follows the digits of the multiples of `step` between two numbers of the same length.
class MultipleRules {
  public:
    MultipleRules(uint64_t step, size_t places, NumberGrammar & out) : step_(step), places_(places), out_(out) {}

    // Alternatives for low <= n <= high, 0 <= low.
    std::vector<std::string> build(uint64_t low, uint64_t high) {
        std::vector<std::string> all;
        for (size_t length = std::max(places_ + 1, std::to_string(low).size()); length <= std::max(places_ + 1, std::to_string(high).size()); length++) {
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
    // The bound with leading zeros, or "" where every number of this length keeps it.
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

    // The name of the rule for what may follow, "" if nothing can.
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
        if (++n_rules_ > max_rules) {
            throw std::length_error("too many multiples to follow");
        }
        std::map<std::string, std::string> digits_to;  // the rule behind, the digits that lead there
        const size_t                       at   = (at_low ? low_.size() : at_high ? high_.size()
                                                                                  : remaining) -
                                                  remaining;
        const char                         from = at_low ? low_[at] : '0', to = at_high ? high_[at] : '9';
        for (char d = from; d <= to; d++) {
            const bool leading_zero = first && d == '0' && remaining > places_ + 1;
            if (leading_zero) {
                continue;
            }
            const std::string next =
                state(remaining - 1, at_low && d == from, at_high && d == to, (residue * 10 + static_cast<uint64_t>(d - '0')) % step_, false);
            if (!next.empty()) {
                digits_to[next] += d;
            }
        }
        const std::string name = rule(digits_to, places_ > 0 && remaining == places_ + 1);
        names[key]             = name;
        return name;
    }

    // Equal right sides share a rule: so a residue that only the last digits decide takes few of them.
    std::string rule(const std::map<std::string, std::string> & digits_to, bool point) {
        if (digits_to.empty()) {
            return "";
        }
        std::string body;
        for (const auto & [next, digits] : digits_to) {
            body += (body.empty() ? "" : " | ") + std::string("[") + digits + "]" + (point ? " \".\"" : "") + (next == "end" ? "" : " @" + next);
        }
        const auto [it, added] = bodies_.emplace(body, "m" + std::to_string(places_) + "-" + std::to_string(out_.rules.size()));
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
            return std::tie(remaining, at_low, at_high, residue, first) < std::tie(o.remaining, o.at_low, o.at_high, o.residue, o.first);
        }
    };

    uint64_t                           step_;
    size_t                             places_;
    NumberGrammar &                    out_;
    std::string                        low_, high_;
    std::map<Key, std::string>         tight_, loose_;
    std::map<std::string, std::string> bodies_;
    size_t                             n_rules_ = 0;
};

uint64_t greatest_divisor(uint64_t a, uint64_t b) {
    while (b != 0) {
        std::swap(a, b);
        b %= a;
    }
    return a;
}

// All steps and, for integers, 1 as one step in units of the last decimal place.
uint64_t common_step(const NumberRange & range, size_t places) {
    if (places > 15) {
        throw std::length_error("multipleOf has too many digits");
    }
    uint64_t   all = 1;
    const auto add = [&](uint64_t step) {
        const uint64_t factor = step / greatest_divisor(all, step);
        if (factor > static_cast<uint64_t>(most) / all) {
            throw std::length_error("multipleOf is too large together with others");
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
        uint64_t one = 1;
        for (size_t i = 0; i < places; i++) {
            one *= 10;
        }
        add(one);
    }
    return all;
}

// The numbers low … high in units of the last place that a bound leaves, 9 digits where there is no bound.
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
    Integers      out  = integer_bounds(units);
    const int64_t open = std::max<int64_t>(step > 100 ? 999999999 : free_maximum, static_cast<int64_t>(std::min<uint64_t>(step, most / 10000)) * 1000);
    if (!range.min) {
        out.low = range.max && out.high < 0 ? out.low : std::max(out.low, -open);
    }
    if (!range.max) {
        out.high = range.min && out.low > 0 ? out.high : std::min(out.high, open);
    }
    return out;
}

NumberGrammar multiples(const NumberRange & range) {
    size_t places = 0;
    for (const Decimal & step : range.steps) {
        places = std::max(places, step.fraction.size());
    }
    uint64_t step = common_step(range, places);
    // An integer step that is whole in units of the last place needs no point.
    uint64_t one = 1;
    for (size_t i = 0; i < places; i++) {
        one *= 10;
    }
    Integers bounds = unit_bounds(range, places, step);
    if (places > 0 && step % one == 0) {
        NumberRange whole = range;
        whole.integer     = true;
        bounds            = unit_bounds(whole, 0, step / one);
        step /= one;
        places = 0;
    }
    if (places > 0 && !std::all_of(range.steps.begin(), range.steps.end(), is_binary_fraction)) {
        const int64_t far = binary_steps * static_cast<int64_t>(one);
        bounds.high       = bounds.low <= far ? std::min(bounds.high, far) : bounds.high;
        bounds.low        = bounds.high >= -far ? std::max(bounds.low, -far) : bounds.low;
    }
    NumberGrammar out;
    const int64_t unit  = static_cast<int64_t>(step);
    const int64_t first = bounds.low >= 0 ? (bounds.low + unit - 1) / unit : -(-bounds.low / unit);
    const int64_t last  = bounds.high >= 0 ? bounds.high / unit : -((-bounds.high + unit - 1) / unit);
    if (bounds.low > bounds.high || first > last) {
        return out;
    }
    const uint64_t n = static_cast<uint64_t>(last - first) + 1;
    if (n <= many_values && (n <= few_values || step > 128)) {
        std::vector<std::string> all;
        std::vector<int64_t>     values;
        for (int64_t k = first; k <= last; k++) {
            const uint64_t size = static_cast<uint64_t>(k < 0 ? -k : k) * step;
            all.push_back("\"" + std::string(k < 0 ? "-" : "") + with_point(size, places) + "\"");
            values.push_back(k * unit);
        }
        out.expression = join(all);
        if (places == 0 && n <= few_values) {
            out.values = values;
        }
        return out;
    }
    MultipleRules            rules(step, places, out);
    std::vector<std::string> all;
    if (last >= 0) {
        all = rules.build(static_cast<uint64_t>(std::max<int64_t>(first, 0) * unit), static_cast<uint64_t>(last * unit));
    }
    if (first < 0) {
        for (const std::string & a : rules.build(static_cast<uint64_t>(-std::min<int64_t>(last, -1) * unit), static_cast<uint64_t>(-first * unit))) {
            all.push_back("\"-\" " + a);
        }
    }
    out.expression = join(all);
    return out;
}

// --- floats ---

// Digits behind the point that make at least 0.`bound` (more than it if `more`), in at most `places` digits; the point included.
std::string fraction_from(const std::string & bound, bool more, size_t places) {
    const std::function<std::string(const std::string &, size_t)> digits = [&](const std::string & rest, size_t left) -> std::string {
        if (rest.empty()) {
            if (!more) {
                return up_to_digits(left);
            }
            // Anything but zeros, in no more digits than tell it from the bound.
            std::string some = "!";
            for (size_t n = 1; n <= left; n++) {
                const std::string here = then("[1-9]", up_to_digits(n - 1));
                some                   = some == "!" ? here : join({ here, "\"0\" " + some });
            }
            return some;
        }
        std::vector<std::string> out;
        const std::string        same = digits(rest.substr(1), left - 1);
        if (same != "!") {
            out.push_back(then(digit_range(rest[0], rest[0]), same));
        }
        if (rest[0] < '9') {
            out.push_back(then(digit_range(static_cast<char>(rest[0] + 1), '9'), up_to_digits(left - 1)));
        }
        return out.empty() ? "!" : join(out);
    };
    if (bound.empty() && !more) {
        return places == 0 ? "" : "(\".\" [0-9]{1," + std::to_string(places) + "})?";
    }
    const std::string out = places < bound.size() ? "!" : digits(bound, places);
    return out == "!" ? out : "\".\" " + out;
}

// Digits behind the point, or none, that make at most 0.`bound` (less than it if `less`).
std::string fraction_to(const std::string & bound, bool less, size_t places) {
    const std::function<std::string(const std::string &, size_t)> digits = [&](const std::string & rest, size_t left) -> std::string {
        if (rest.empty()) {
            return less ? "!" : left == 0 ? ""
                                          : "\"0\"{0," + std::to_string(left) + "}";
        }
        std::vector<std::string> out;
        if (rest[0] > '0') {
            out.push_back(then(digit_range('0', static_cast<char>(rest[0] - 1)), up_to_digits(left - 1)));
        }
        const std::string same = digits(rest.substr(1), left - 1);
        // To end behind a digit that is the bound's own is below the bound while more of it follows: its last digit is not 0.
        if (same != "!") {
            const bool may_end = rest.size() > 1;
            out.push_back(digit_range(rest[0], rest[0]) + (same.empty() ? "" : may_end ? " (" + same + ")?"
                                                                                       : " " + same));
        } else if (rest.size() > 1) {
            out.push_back(digit_range(rest[0], rest[0]));
        }
        return out.empty() ? "!" : join(out);
    };
    if (bound.empty()) {
        return less ? "!" : places == 0 ? ""
                                        : "(\".\" \"0\"{1," + std::to_string(std::min<size_t>(places, 2)) + "})?";
    }
    const std::string out = places < bound.size() ? "!" : digits(bound, places);
    return out == "!" ? "" : "(\".\" " + out + ")?";
}

std::string fraction_between(const Decimal & low, bool above, const Decimal & high, bool below, size_t places) {
    // Digit by digit along both bounds; the shorter one is filled up with zeros.
    const size_t n = std::max(low.fraction.size(), high.fraction.size());
    std::string  a = low.fraction + std::string(n - low.fraction.size(), '0'), b = high.fraction + std::string(n - high.fraction.size(), '0');
    size_t       same = 0;
    while (same < n && a[same] == b[same]) {
        same++;
    }
    std::vector<std::string> out;
    const std::string        prefix = same == 0 ? "" : "\"" + a.substr(0, same) + "\" ";
    const auto               add    = [&](const std::string & text) { out.push_back("\".\" " + prefix + text); };
    if (same == n) {
        if (!above && !below) {
            out.push_back(n == 0 ? "(\".\" \"0\")?" : "\"." + a + "\"");
        }
        return join(out);
    }
    const auto strip = [](std::string digits) {
        digits.erase(digits.find_last_not_of('0') + 1);
        return digits;
    };
    const std::string low_rest = strip(a.substr(same + 1)), high_rest = strip(b.substr(same + 1));
    const size_t      left = places - same - 1;
    const auto        bare = [](const std::string & text) {
        // Without the point, which has come already; an optional part stays optional.
        std::string out = text;
        out.erase(out.find("\".\" "), 4);
        return out;
    };
    if (a.find_first_not_of('0', same) == std::string::npos && !above) {
        out.push_back(same == 0 ? "" : "\"." + a.substr(0, same) + "\"");  // the bound itself, in its shortest form
    }
    const std::string from = fraction_from(low_rest, above, left), to = fraction_to(high_rest, below, left);
    if (from != "!") {
        add(then(digit_range(a[same], a[same]), from.empty() ? "" : bare(from)));
    }
    if (a[same] + 1 < b[same]) {
        add(then(digit_range(static_cast<char>(a[same] + 1), static_cast<char>(b[same] - 1)), up_to_digits(left)));
    }
    if (to != "!") {
        add(then(digit_range(b[same], b[same]), to.empty() ? "" : bare(to)));
    }
    return join(out);
}

bool is_int64(const std::string & whole) {
    return whole.size() <= 18;
}

// Alternatives for 0 <= low <= x <= high.
void add_decimals(const Decimal & low, bool above, const Decimal & high, bool below, size_t places, std::vector<std::string> & out) {
    if (!is_int64(low.whole)) {
        throw std::length_error("the bounds are too large: only numbers of at most 18 digits are made");
    }
    const int64_t first = std::stoll(low.whole), last = is_int64(high.whole) ? std::stoll(high.whole) : most / 10;
    if (first == last) {
        const std::string fraction = fraction_between(low, above, high, below, places);
        if (!fraction.empty() || (low.fraction.empty() && !above)) {
            out.push_back(then("\"" + low.whole + "\"", fraction));
        }
        return;
    }
    // A bound that takes in its whole unit joins the whole numbers.
    const bool        first_whole = low.fraction.empty() && !above;
    const std::string any         = places == 0 ? "" : "(\".\" [0-9]{1," + std::to_string(places) + "})?";
    const std::string from        = fraction_from(low.fraction, above, places);
    if (!first_whole && from != "!") {
        out.push_back(then("\"" + low.whole + "\"", from));
    }
    const int64_t begin = first_whole ? first : first + 1;
    if (begin <= last - 1) {
        std::vector<std::string> whole;
        add_integers(static_cast<uint64_t>(begin), static_cast<uint64_t>(last - 1), whole);
        out.push_back(then(join(whole), any));
    }
    const std::string to = fraction_to(high.fraction, below, places);
    if (to != "!") {
        out.push_back(then("\"" + std::to_string(last) + "\"", to));
    }
}

NumberGrammar floats(const NumberRange & range) {
    NumberGrammar out;
    if (!range.min && !range.max) {
        out.expression = "\"-\"? (\"0\" | [1-9] [0-9]{0,14}) (\".\" [0-9]{1,15})? ([eE] [-+]? [0-9] [0-9]?)?";
        return out;
    }
    size_t digits = 1;
    for (const auto & bound : { range.min, range.max }) {
        digits = bound ? std::max(digits, bound->whole.size()) : digits;
    }
    // 15 significant digits tell a number from its bound as a double too.
    size_t     places = digits < free_digits ? free_digits - digits : 0;
    const auto fit    = [&](const Decimal & bound, bool is_min) { return rounded(bound, places, bound.negative != is_min); };
    const auto far    = [&](const Decimal & other) {
        Decimal d;
        d.whole = std::string(std::max<size_t>(free_digits, other.whole.size() + (other.whole.size() < 17 ? 1 : 0)), '9');
        return d;
    };
    const Decimal zero;
    NumberRange   r = range;
    if (!r.max) {
        r.max = far(*r.min);
    }
    if (!r.min) {
        r.min = negated(far(*r.max));
    }
    NumberRange near = r;
    near.min         = fit(*r.min, true);
    near.max         = fit(*r.max, false);
    // What was rounded towards the inside is not the bound itself.
    near.above_min = r.above_min && compare(*near.min, *r.min) == 0;
    near.below_max = r.below_max && compare(*near.max, *r.max) == 0;
    if (compare(*near.min, *near.max) > 0) {
        places = std::max(r.min->fraction.size(), r.max->fraction.size()) + 1;
        if (places > 40) {
            throw std::length_error("the bounds have too many digits");
        }
        near = r;
    }
    const int order = compare(*near.min, *near.max);
    if (order > 0 || (order == 0 && (near.above_min || near.below_max))) {
        return out;
    }
    std::vector<std::string> all;
    if (!near.max->negative && (!near.max->is_zero() || !near.below_max)) {
        const bool from_zero = near.min->negative;
        add_decimals(from_zero ? zero : *near.min, !from_zero && near.above_min, *near.max, near.below_max, places, all);
    }
    if (near.min->negative) {
        const bool               to_zero = !near.max->negative;
        std::vector<std::string> negative;
        add_decimals(to_zero ? zero : negated(*near.max), to_zero || near.below_max, negated(*near.min), near.above_min, places, negative);
        if (!negative.empty()) {
            all.push_back("\"-\" " + join(negative));
        }
    }
    out.expression = join(all);
    return out;
}

}  // namespace

NumberGrammar number_grammar(const NumberRange & range) {
    if (!range.steps.empty()) {
        return multiples(range);
    }
    if (!range.integer) {
        return floats(range);
    }
    NumberGrammar  out;
    const Integers bounds = integer_bounds(range);
    if (bounds.low > bounds.high) {
        return out;
    }
    out.expression = integers(bounds.low, bounds.high);
    if (static_cast<uint64_t>(bounds.high) - static_cast<uint64_t>(bounds.low) < few_values) {
        out.values.emplace();
        for (int64_t v = bounds.low; v <= bounds.high; v++) {
            out.values->push_back(v);
        }
    }
    return out;
}

}  // namespace luup
