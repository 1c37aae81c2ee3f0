// Sets of code points as inclusive ranges.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace luup {

constexpr uint32_t last_code_point = 0x10FFFF;

using Ranges = std::vector<std::pair<uint32_t, uint32_t>>;

// Returns the same set as sorted, disjoint and non-adjacent ranges without empty ones.
Ranges merge_ranges(Ranges ranges);

// Returns the complement of `ranges` (merged) within 0 … `last`.
Ranges invert_ranges(const Ranges & ranges, uint32_t last);

// Returns the values in both sets, which must be merged.
Ranges intersect_ranges(const Ranges & a, const Ranges & b);

// Whether `value` is in the set, which must be merged.
bool contains(const Ranges & ranges, uint32_t value);

}  // namespace luup
