// Runs a task that may crash, hang or exhaust memory in a child process first.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

namespace luup {

struct TrialLimits {
    double seconds;  // of processor time; ten times as much wall-clock time is allowed
    size_t memory;   // bytes, in addition to what this process uses
};

enum class TrialEnd {
    Passed,
    Failed,    // the task threw, crashed or went beyond a limit
    Killed,    // a signal from outside ended the child: that says nothing about the task
    NotTried,  // no child could be made, or it got no processor; the reason is logged as a warning
};

// Runs `task` in a forked child. Returns "" if it returned within the limits or could not be tried, else the reason:
// the exception's message, ggml's message before an abort, the signal that ended it, or the limit it exceeded. The
// child writes nothing to stdout and stderr, and ignores Ctrl-C. On Linux only: Windows has no fork(), and macOS's
// frameworks don't support it, so there the task is never tried.
std::string try_in_child(const std::function<void()> & task, const TrialLimits & limits, TrialEnd * end = nullptr);

}  // namespace luup
