// Tries something that may crash, hang or eat memory, in a child process that pays for it.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

namespace luup {

struct TrialLimits {
    double seconds;  // of processor time; ten times as many may pass
    size_t memory;  // bytes more than this process has
};

// Runs `task` in a forked child. Empty if it returned within the limits, else the reason why not: what it threw, ggml's last
// words before an abort, the signal that ended it, or the limit. The child is silent. Only on Linux: Windows can't
// fork, and macOS's frameworks don't survive it, so there the task is not run and the result is empty.
std::string try_in_child(const std::function<void()> & task, const TrialLimits & limits);

}  // namespace luup
