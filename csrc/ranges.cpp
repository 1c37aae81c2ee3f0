#include "ranges.h"

#include <algorithm>

namespace luup {

Ranges merge_ranges(Ranges ranges) {
    std::sort(ranges.begin(), ranges.end());
    Ranges merged;
    for (const auto & range : ranges) {
        if (range.first > range.second) {
            continue;
        }
        if (!merged.empty() && range.first <= uint64_t(merged.back().second) + 1) {
            merged.back().second = std::max(merged.back().second, range.second);
        } else {
            merged.push_back(range);
        }
    }
    return merged;
}

Ranges invert_ranges(const Ranges & ranges, uint32_t last) {
    Ranges   inverse;
    uint64_t low = 0;
    for (const auto & range : ranges) {
        if (range.first > low) {
            inverse.emplace_back(static_cast<uint32_t>(low), range.first - 1);
        }
        low = uint64_t(range.second) + 1;
    }
    if (low <= last) {
        inverse.emplace_back(static_cast<uint32_t>(low), last);
    }
    return inverse;
}

}  // namespace luup
