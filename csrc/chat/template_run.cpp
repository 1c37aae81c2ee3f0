#include "chat/template_run.h"

#include "base/error.h"

#include <algorithm>

namespace luup {

luup_template::Limits limits_for_input(size_t input) {
    constexpr size_t most = 2048u << 20;
    return { 50000000 + 1000 * static_cast<uint64_t>(input),
             std::min(most, (256u << 20) + 256 * std::min(input, most)) };
}

luup_template::Limits limits_for_probes() {
    return { 20000000, 64u << 20 };
}

void fail_stopped(const luup_template::Stopped & stopped) {
    check_interruption();
    fail(LUUP_ERROR_CHAT_TEMPLATE, "the chat template was stopped: %s",
         stopped.reason ? stopped.reason : "it was interrupted");
}

}  // namespace luup
