#include "engine/prefill_shares.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <numeric>

namespace luup {

namespace {

using Order = std::vector<size_t>;

// Shares `budget` among the wishes `begin` to `end`, of one priority. Returns what is left of it.
int32_t share(const std::vector<PrefillWish> & wishes, size_t begin, size_t end, int32_t budget,
              std::vector<int32_t> & shares) {
    const auto give = [&](size_t i, int32_t most) {
        const int32_t n = std::min({ wishes[i].pending - shares[i], most, budget });
        shares[i] += n;
        budget -= n;
    };
    give(begin, (budget + 1) / 2);
    Order rest(end - begin - 1);
    std::iota(rest.begin(), rest.end(), begin + 1);
    Order shorter;
    std::copy_if(rest.begin(), rest.end(), std::back_inserter(shorter),
                 [&](size_t i) { return wishes[i].pending < wishes[begin].pending; });
    std::stable_sort(shorter.begin(), shorter.end(),
                     [&](size_t a, size_t b) { return wishes[a].pending < wishes[b].pending; });
    for (const size_t i : shorter) {
        give(i, budget);
    }
    give(begin, budget);
    for (const size_t i : rest) {
        give(i, budget);
    }
    return budget;
}

}  // namespace

std::vector<int32_t> share_prefill(const std::vector<PrefillWish> & wishes, int32_t budget) {
    std::vector<int32_t> shares(wishes.size());
    for (size_t begin = 0; begin < wishes.size() && budget > 0;) {
        size_t end = begin + 1;
        while (end < wishes.size() && wishes[end].priority == wishes[begin].priority) {
            end++;
        }
        budget = share(wishes, begin, end, budget, shares);
        begin  = end;
    }
    return shares;
}

}  // namespace luup
