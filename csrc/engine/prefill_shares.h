// How the prompts that wait to be prefilled share the tokens of a step.
#pragma once

#include <cstdint>
#include <vector>

namespace luup {

// A prompt of which a part is not in the context yet.
struct WaitingPrompt {
    int32_t priority = 0;
    int32_t pending  = 0;  // tokens
};

// Returns how many tokens of each prompt a step of `budget` tokens takes. `prompts` come by priority, then by age, and
// a higher priority is served first. Within one, prompts are prefilled first come first served, except that shorter
// ones pass: they get up to half of the step. So no prompt is held up by others for longer than twice its own time, and
// a short question does not wait behind long documents.
std::vector<int32_t> share_prefill(const std::vector<WaitingPrompt> & prompts, int32_t budget);

}  // namespace luup
