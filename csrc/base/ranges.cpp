#include "base/ranges.h"

#include <algorithm>
#include <iterator>

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

Ranges intersect_ranges(const Ranges & a, const Ranges & b) {
    Ranges out;
    for (size_t i = 0, k = 0; i < a.size() && k < b.size();) {
        const uint32_t low = std::max(a[i].first, b[k].first), high = std::min(a[i].second, b[k].second);
        if (low <= high) {
            out.emplace_back(low, high);
        }
        a[i].second < b[k].second ? i++ : k++;
    }
    return out;
}

bool contains(const Ranges & ranges, uint32_t value) {
    const auto it = std::upper_bound(ranges.begin(), ranges.end(), value,
                                     [](uint32_t v, const auto & range) { return v < range.first; });
    return it != ranges.begin() && value <= std::prev(it)->second;
}

}  // namespace luup
