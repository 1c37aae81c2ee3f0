// Parses regular expressions: ECMA-262 without look-around and back references.
#pragma once

#include "base/ranges.h"
#include "schema/char_sets.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace luup {

struct Regex {
    enum class Kind { chars, begin, end, boundary, no_boundary, sequence, choice, repeat };

    static constexpr uint64_t no_maximum = UINT64_MAX;

    Kind                                kind;
    Ranges                              set;  // of chars
    std::vector<std::shared_ptr<Regex>> parts;
    uint64_t                            min = 0, max = 0;  // of repeat
};

using RegexPtr = std::shared_ptr<Regex>;

// Throws std::invalid_argument with the reason if the expression is wrong or not supported.
RegexPtr parse_regex(std::vector<uint32_t> text, Reading reading);

}  // namespace luup
