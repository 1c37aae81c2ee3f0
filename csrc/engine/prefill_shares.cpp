#include "engine/prefill_shares.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <numeric>

namespace luup {

namespace {

using Order = std::vector<size_t>;

// Shares `budget` among the prompts `begin` to `end`, of one priority. Returns the rest.
int32_t share(const std::vector<WaitingPrompt> & prompts, size_t begin, size_t end, int32_t budget,
              std::vector<int32_t> & shares) {
    const auto give = [&](size_t i, int32_t most) {
        const int32_t n = std::min({ prompts[i].pending - shares[i], most, budget });
        shares[i] += n;
        budget -= n;
    };
    give(begin, (budget + 1) / 2);
    Order rest(end - begin - 1);
    std::iota(rest.begin(), rest.end(), begin + 1);
    Order shorter;
    std::copy_if(rest.begin(), rest.end(), std::back_inserter(shorter),
                 [&](size_t i) { return prompts[i].pending < prompts[begin].pending; });
    std::stable_sort(shorter.begin(), shorter.end(),
                     [&](size_t a, size_t b) { return prompts[a].pending < prompts[b].pending; });
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

std::vector<int32_t> share_prefill(const std::vector<WaitingPrompt> & prompts, int32_t budget) {
    std::vector<int32_t> shares(prompts.size());
    for (size_t begin = 0; begin < prompts.size() && budget > 0;) {
        size_t end = begin + 1;
        while (end < prompts.size() && prompts[end].priority == prompts[begin].priority) {
            end++;
        }
        budget = share(prompts, begin, end, budget, shares);
        begin  = end;
    }
    return shares;
}

}  // namespace luup
