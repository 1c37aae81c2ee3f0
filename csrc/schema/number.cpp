#include "schema/number.h"

#include <algorithm>
#include <cmath>

namespace luup {

namespace {

int compare_magnitudes(const Decimal & a, const Decimal & b) {
    if (a.whole.size() != b.whole.size()) {
        return a.whole.size() < b.whole.size() ? -1 : 1;
    }
    const int whole = a.whole.compare(b.whole);
    const int order = whole != 0 ? whole : a.fraction.compare(b.fraction);
    return order < 0 ? -1 : order > 0;
}

}  // namespace

std::string without_leading_zeros(const std::string & digits) {
    const size_t i = digits.find_first_not_of('0');
    return i == std::string::npos ? "0" : digits.substr(i);
}

Decimal Decimal::from(const Json & number) {
    std::string text = number.dump();
    Decimal     out;
    if (text[0] == '-') {
        out.negative = true;
        text.erase(0, 1);
    }
    int          exponent = 0;
    const size_t e        = text.find_first_of("eE");
    if (e != std::string::npos) {
        exponent = std::stoi(text.substr(e + 1));
        text.erase(e);
    }
    const size_t point = text.find('.');
    std::string  whole = text.substr(0, point), fraction = point == std::string::npos ? "" : text.substr(point + 1);
    if (exponent > 0) {
        fraction.append(fraction.size() < static_cast<size_t>(exponent) ? exponent - fraction.size() : 0, '0');
        whole += fraction.substr(0, exponent);
        fraction.erase(0, exponent);
    } else if (exponent < 0) {
        whole.insert(0, whole.size() < static_cast<size_t>(-exponent) ? -exponent - whole.size() : 0, '0');
        fraction = whole.substr(whole.size() + exponent) + fraction;
        whole.erase(whole.size() + exponent);
    }
    fraction.erase(fraction.find_last_not_of('0') + 1);
    out.whole    = without_leading_zeros(whole);
    out.fraction = fraction;
    out.negative = out.negative && !out.is_zero();
    return out;
}

int compare(const Decimal & a, const Decimal & b) {
    if (a.negative != b.negative) {
        return a.negative ? -1 : 1;
    }
    return a.negative ? compare_magnitudes(b, a) : compare_magnitudes(a, b);
}

Decimal negated(Decimal d) {
    d.negative = !d.negative && !d.is_zero();
    return d;
}

int compare_numbers(const Json & a, const Json & b) {
    if (a.is_number_integer() && b.is_number_integer()) {
        return compare(Decimal::from(a), Decimal::from(b));
    }
    const double x = a.get<double>(), y = b.get<double>();
    return x < y ? -1 : x > y;
}

bool is_binary_fraction(const Decimal & number) {
    const std::string & digits = number.fraction;
    if (digits.size() > 15) {
        return false;
    }
    // A fraction of n decimal places is binary if its digits are a multiple of 5^n.
    uint64_t unit = 1;
    for (size_t i = 0; i < digits.size(); i++) {
        unit *= 5;
    }
    return digits.empty() || std::stoull(digits) % unit == 0;
}

bool is_integral(const Json & number) {
    if (!number.is_number_float()) {
        return true;
    }
    const double value = number.get<double>();
    return std::isfinite(value) && std::trunc(value) == value;
}

bool is_multiple(const Json & number, const Json & step) {
    constexpr double exact = 9007199254740992;  // 2^53
    if (number.is_number_float() && std::abs(number.get<double>()) >= exact * std::abs(step.get<double>())) {
        return true;
    }
    const Decimal x = Decimal::from(number), m = Decimal::from(step);
    const size_t  places = std::max(x.fraction.size(), m.fraction.size());
    std::string   digits = x.whole + x.fraction + std::string(places - x.fraction.size(), '0');
    std::string   units  = without_leading_zeros(m.whole + m.fraction + std::string(places - m.fraction.size(), '0'));
    digits               = without_leading_zeros(digits);
    // Drop common zeros at the end.
    while (units.size() > 1 && units.back() == '0' && digits.back() == '0' && digits != "0") {
        units.pop_back();
        digits.pop_back();
    }
    if (digits == "0") {
        return true;
    }
    if (units.size() > 18) {
        return units.size() <= digits.size() && std::fmod(number.get<double>(), step.get<double>()) == 0;
    }
    const uint64_t modulus = std::stoull(units);
    uint64_t       rest    = 0;
    for (const char c : digits) {
        rest = (rest * 10 + static_cast<uint64_t>(c - '0')) % modulus;
    }
    return rest == 0;
}

void NumberRange::at_least(const Decimal & bound, bool exclusive) {
    const int order = min ? compare(bound, *min) : 1;
    if (order > 0) {
        min       = bound;
        above_min = exclusive;
    } else if (order == 0) {
        above_min = above_min || exclusive;
    }
}

void NumberRange::at_most(const Decimal & bound, bool exclusive) {
    const int order = max ? compare(bound, *max) : -1;
    if (order < 0) {
        max       = bound;
        below_max = exclusive;
    } else if (order == 0) {
        below_max = below_max || exclusive;
    }
}

}  // namespace luup
