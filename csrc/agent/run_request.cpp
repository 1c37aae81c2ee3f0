#include "agent/run_request.h"

#include "base/error.h"

namespace luup {

namespace {

void check_range(const char * name, int32_t value, int32_t low, int32_t high) {
    if (value < low || value > high) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s must be from %d to %d, not %d", name, low, high, value);
    }
}

}  // namespace

void RunRequest::check() const {
    sampling.check();
    if (timeout_ms < -1) {
        fail(LUUP_ERROR_INVALID_PARAM, "timeout_ms must be at least 0, or -1 for none, not %lld",
             static_cast<long long>(timeout_ms));
    }
    if (message && message->content.empty() && message->attachments.empty()) {
        fail(LUUP_ERROR_INVALID_PARAM, "message is empty");
    }
    check_range("priority", priority, -1000, 1000);
    check_range("max_turns", max_turns, 1, 1000);
    check_range("output_retries", output_retries, 0, 100);
    for (size_t i = 0; i < choices.size(); i++) {
        if (choices[i].empty()) {
            fail(LUUP_ERROR_INVALID_PARAM, "choices[%zu] is empty", i);
        }
    }
    if (!choices.empty() && output) {
        fail(LUUP_ERROR_INVALID_PARAM, "choices can't be combined with a typed output: they are scored as they are");
    }
    if (raw_prompt && (!message || !choices.empty() || output || (tools && !tools->empty()))) {
        fail(LUUP_ERROR_INVALID_PARAM, "raw_prompt needs a message, and takes no tools, choices or typed output");
    }
}

}  // namespace luup
