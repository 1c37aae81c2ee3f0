// Sets of code points as inclusive ranges.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace luup {

using Ranges = std::vector<std::pair<uint32_t, uint32_t>>;

// Sorted, disjoint and apart from each other; empty ranges are left out.
Ranges merge_ranges(Ranges ranges);

// What merged `ranges` leave out of 0 … `last`.
Ranges invert_ranges(const Ranges & ranges, uint32_t last);

}  // namespace luup
