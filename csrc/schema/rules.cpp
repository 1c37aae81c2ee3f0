#include "schema/rules.h"

#include "schema/limits.h"

#include <algorithm>

namespace luup {

namespace {

constexpr uint64_t block = 32;  // repetitions

}  // namespace

void GrammarRules::add(const std::string & name, const std::string & body) {
    out_ += name + " ::= " + body + "\n";
    // The limit must not depend on the length of the prefix.
    size_ += body.size() + name.size() - prefix_.size();
    if (size_ > schema_limits::grammar_bytes + 8 * n_rules_ * (prefix_.size() > 4 ? prefix_.size() - 4 : 0)) {
        throw TooLarge();
    }
}

std::string GrammarRules::shared(const std::string & body) {
    const auto [it, added] = bodies_.emplace(body, "");
    if (added) {
        it->second = fresh();
        add(it->second, body);
    }
    return it->second;
}

std::string GrammarRules::exactly(const std::string & unit, uint64_t n) {
    std::string out;
    if (n < 4) {
        for (uint64_t i = 0; i < n; i++) {
            out += (i > 0 ? " " : "") + unit;
        }
        return out;
    }
    // Two halves each time: the number of rules grows with the logarithm of n.
    const std::string half = exactly(unit, n / 2), pair = half.find(' ') == std::string::npos ? half : shared(half);
    return shared(pair + " " + pair + (n % 2 ? " " + unit : ""));
}

// Repetitions are in blocks, and blocks in larger blocks: each is complete or the last one, so the matcher follows only
// a few paths at a time, and the number of rules grows with the logarithm of n.
std::string GrammarRules::up_to(const std::string & unit, uint64_t n) {
    if (n == 0) {
        return "\"\"";
    }
    uint64_t size = 1;
    while (n > size * block) {
        size *= block;
    }
    const uint64_t    last = (n - 1) % size + 1;
    const std::string part = size > 1 ? up_to(unit, size - 1) : "\"\"", whole = exactly(unit, size);
    std::string       rest = size > 1 ? up_to(unit, last) : shared(unit + " | \"\"");
    for (uint64_t done = last; done < n; done += size) {
        rest = shared(whole + " " + rest + " | " + part);
    }
    return rest;
}

std::string GrammarRules::repeat(const std::string & rule, uint64_t min, std::optional<uint64_t> max) {
    const std::string first = exactly(rule, min), rest = !max ? rule + "*" : *max > min ? up_to(rule, *max - min) : "";
    return first + (first.empty() || rest.empty() ? "" : " ") + rest;
}

}  // namespace luup
