// Runs chat templates within limits of work, memory and time; see llama_patches/template_limits.h.
#pragma once

#include "base/interrupt.h"

#include "template_limits.h"

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace luup {

// The limits of a template that gets `input` bytes of messages and tools. They are several hundred times as high as the
// needs of well-known models' templates.
luup_template::Limits limits_for_input(size_t input);

// The limits of all that is rendered to find out about a template while a model is loaded.
luup_template::Limits limits_for_probes();

// Throws the Error for a template that was stopped: this thread's interruption, or LUUP_ERROR_CHAT_TEMPLATE.
[[noreturn]] void fail_stopped(const luup_template::Stopped & stopped);

// Call `task`, which runs templates. `finish` as for luup_template::Meter. Throws Error(LUUP_ERROR_CHAT_TEMPLATE) if
// they exceed the limits, and the Error of this thread's interruption.
template <typename Task>
auto run_within(
    const luup_template::Limits & limits, Task && task,
    std::function<std::string(const std::string &, const std::vector<luup_template::Range> &)> finish = {}) {
    luup_template::Meter meter(limits, [] { return interruption() != nullptr; }, std::move(finish));
    try {
        return task();
    } catch (const luup_template::Stopped & stopped) {
        fail_stopped(stopped);
    }
}

}  // namespace luup
