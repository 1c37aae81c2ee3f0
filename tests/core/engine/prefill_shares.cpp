// Which prompts a step prefills.
#include "engine/prefill_shares.h"

#include "check.h"

#include <algorithm>
#include <numeric>
#include <vector>

using namespace luup;

namespace {

using Shares = std::vector<int32_t>;

// The steps until each prompt is prefilled, when nothing else comes.
std::vector<int> steps_of(std::vector<WaitingPrompt> prompts, int32_t budget) {
    std::vector<int>    steps(prompts.size());
    std::vector<size_t> order(prompts.size());
    std::iota(order.begin(), order.end(), size_t(0));
    for (int step = 1; !prompts.empty(); step++) {
        const Shares shares = share_prefill(prompts, budget);
        for (size_t i = prompts.size(); i-- > 0;) {
            prompts[i].pending -= shares[i];
            if (prompts[i].pending == 0) {
                steps[order[i]] = step;
                prompts.erase(prompts.begin() + static_cast<std::ptrdiff_t>(i));
                order.erase(order.begin() + static_cast<std::ptrdiff_t>(i));
            }
        }
    }
    return steps;
}

} // namespace

CASE(a_step_of_prompts_is_shared) {
    CHECK(share_prefill({}, 128).empty());
    CHECK((share_prefill({ { 0, 30 } }, 128) == Shares{ 30 }));
    CHECK((share_prefill({ { 0, 300 } }, 128) == Shares{ 128 }));
    CHECK((share_prefill({ { 0, 300 }, { 0, 300 } }, 128) == Shares{ 128, 0 }));
    CHECK((share_prefill({ { 0, 100 }, { 0, 300 } }, 128) == Shares{ 100, 28 }));
    CHECK((share_prefill({ { 0, 300 }, { 0, 40 }, { 0, 30 } }, 128) == Shares{ 64, 34, 30 }));
    CHECK((share_prefill({ { 0, 300 }, { 0, 20 } }, 0) == Shares{ 0, 0 }));
    CHECK((share_prefill({ { 0, 3 }, { 0, 2 } }, 1) == Shares{ 1, 0 }));
}

CASE(a_short_prompt_passes_long_ones) {
    const std::vector<WaitingPrompt> prompts = { { 0, 3000 }, { 0, 3000 }, { 0, 3000 }, { 0, 3000 }, { 0, 40 } };
    const std::vector<int>           steps   = steps_of(prompts, 128);
    CHECK(steps[4] == 1);
    CHECK(steps[0] == 24); // 3,040 tokens in steps of 128
    CHECK(std::is_sorted(steps.begin(), steps.begin() + 4));
    CHECK(steps[3] == 95); // nothing is wasted: 12,040 tokens
}

CASE(short_prompts_do_not_starve_a_long_one) {
    int32_t left = 3000;
    int     step = 0;
    for (; left > 0; step++) { // new short prompts come all the time
        left -= share_prefill({ { 0, left }, { 0, 100 }, { 0, 100 }, { 0, 100 } }, 128)[0];
    }
    CHECK(step <= 2 * 24);
}

CASE(a_higher_priority_is_prefilled_first) {
    CHECK((share_prefill({ { 5, 300 }, { 0, 20 } }, 128) == Shares{ 128, 0 }));
    CHECK((share_prefill({ { 5, 100 }, { 0, 200 }, { 0, 20 } }, 128) == Shares{ 100, 14, 14 }));
}
