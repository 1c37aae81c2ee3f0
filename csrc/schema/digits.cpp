#include "schema/digits.h"

namespace luup {

std::string any_digits(size_t n) {
    return n == 0 ? "" : n == 1 ? "[0-9]" : "[0-9]{" + std::to_string(n) + "}";
}

std::string digit_range(char low, char high) {
    return low == high ? std::string("\"") + low + "\"" : std::string("[") + low + "-" + high + "]";
}

std::string one_of(const std::vector<std::string> & alternatives) {
    std::string out;
    for (const std::string & a : alternatives) {
        out += (out.empty() ? "" : " | ") + (a.empty() ? "\"\"" : a);
    }
    return alternatives.size() > 1 ? "(" + out + ")" : out;
}

std::string sequence(const std::string & first, const std::string & rest) {
    return rest.empty() || rest == "\"\"" ? first : first + " " + rest;
}

namespace {

// Digits of the length of `a` that are at least `a`.
std::string not_below(const std::string & a) {
    if (a.find_first_not_of('0') == std::string::npos) {
        return any_digits(a.size());
    }
    std::vector<std::string> out = { sequence(digit_range(a[0], a[0]), not_below(a.substr(1))) };
    if (a[0] < '9') {
        out.push_back(sequence(digit_range(static_cast<char>(a[0] + 1), '9'), any_digits(a.size() - 1)));
    }
    return one_of(out);
}

// Digits of the length of `a` that are at most `a`.
std::string not_above(const std::string & a) {
    if (a.find_first_not_of('9') == std::string::npos) {
        return any_digits(a.size());
    }
    std::vector<std::string> out;
    if (a[0] > '0') {
        out.push_back(sequence(digit_range('0', static_cast<char>(a[0] - 1)), any_digits(a.size() - 1)));
    }
    out.push_back(sequence(digit_range(a[0], a[0]), not_above(a.substr(1))));
    return one_of(out);
}

// Digits between `a` and `b`, which have the same length.
std::string between(const std::string & a, const std::string & b) {
    if (a.empty()) {
        return "";
    }
    if (a[0] == b[0]) {
        return sequence(digit_range(a[0], a[0]), between(a.substr(1), b.substr(1)));
    }
    std::vector<std::string> out;
    const bool               low_whole  = a.find_first_not_of('0', 1) == std::string::npos;
    const bool               high_whole = b.find_first_not_of('9', 1) == std::string::npos;
    const char               low        = static_cast<char>(a[0] + (low_whole ? 0 : 1)),
                             high       = static_cast<char>(b[0] - (high_whole ? 0 : 1));
    if (!low_whole) {
        out.push_back(sequence(digit_range(a[0], a[0]), not_below(a.substr(1))));
    }
    if (low <= high) {
        out.push_back(sequence(digit_range(low, high), any_digits(a.size() - 1)));
    }
    if (!high_whole) {
        out.push_back(sequence(digit_range(b[0], b[0]), not_above(b.substr(1))));
    }
    return one_of(out);
}

}  // namespace

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

std::string decremented(std::string digits) {
    for (size_t i = digits.size(); i-- > 0;) {
        if (digits[i] != '0') {
            digits[i]--;
            break;
        }
        digits[i] = '9';
    }
    const size_t first = digits.find_first_not_of('0');
    return first == std::string::npos ? "0" : digits.substr(first);
}

void add_integers(std::string first, const std::optional<std::string> & last, std::vector<std::string> & out) {
    if (first == "0") {
        out.push_back("\"0\"");
        if (last == "0") {
            return;
        }
        first = "1";
    }
    // Lengths of which all numbers are in the range share one alternative.
    size_t     from        = first.size();
    const bool first_whole = first == "1" + std::string(from - 1, '0');
    if (last && from == last->size()) {
        out.push_back(between(first, *last));
        return;
    }
    if (!first_whole) {
        out.push_back(between(first, std::string(from, '9')));
        from++;
    }
    if (!last) {
        out.push_back(from == 1 ? "[1-9] [0-9]*" : "[1-9] [0-9]{" + std::to_string(from - 1) + ",}");
        return;
    }
    const size_t to         = last->size();
    const bool   last_whole = *last == std::string(to, '9');
    const size_t whole_to   = last_whole ? to : to - 1;
    if (from == whole_to) {
        out.push_back(sequence("[1-9]", any_digits(from - 1)));
    } else if (from < whole_to) {
        out.push_back("[1-9] [0-9]{" + std::to_string(from - 1) + "," + std::to_string(whole_to - 1) + "}");
    }
    if (!last_whole) {
        out.push_back(between("1" + std::string(to - 1, '0'), *last));
    }
}

}  // namespace luup
