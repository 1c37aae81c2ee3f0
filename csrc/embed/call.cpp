#include "embed/call.h"

#include "base/error.h"

namespace luup {

bool Call::stopped() {
    if (cancelled_ || closing_) {
        return true;
    }
    const auto now = Clock::now();
    if (params_.progress && now >= next_) {
        next_      = now + std::chrono::milliseconds(100);
        cancelled_ = !params_.progress(done_, total_, params_.user_data);
    }
    return cancelled_ || closing_;
}

void Call::check() {
    if (!stopped()) {
        return;
    }
    if (cancelled_) {
        fail(LUUP_ERROR_CANCELLED, "the call was cancelled after %zu of %zu texts", done_, total_);
    }
    fail(LUUP_ERROR_CLOSED, "the model was closed after %zu of %zu texts", done_, total_);
}

}  // namespace luup
