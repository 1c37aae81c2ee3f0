#include "agent/output_retry.h"

namespace luup {

Failure OutputRetry::reject(const std::string & output, const std::string & problem, int32_t allowed) {
    if (count_++ >= allowed) {
        return { LUUP_ERROR_INVALID_OUTPUT,
                 "the output is still wrong after " + std::to_string(allowed) + " retries: " + problem };
    }
    messages_ = {
        Message::assistant(output),
        Message::user("That answer is not valid: " + problem + "\nAnswer again, corrected."),
    };
    return {};
}

}  // namespace luup
