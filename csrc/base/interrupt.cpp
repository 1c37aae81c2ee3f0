#include "base/interrupt.h"

#include <utility>

namespace luup {

namespace {

constexpr std::chrono::milliseconds interval{ 1 };

thread_local InterruptScope * innermost = nullptr;

}  // namespace

InterruptScope::InterruptScope(std::function<std::optional<Failure>()> ask)
    : ask_(std::move(ask)), outer_(std::exchange(innermost, this)) {}

InterruptScope::~InterruptScope() {
    innermost = outer_;
}

const Failure * interruption() {
    InterruptScope * scope = innermost;
    if (!scope) {
        return nullptr;
    }
    const auto now = std::chrono::steady_clock::now();
    if (!scope->answer_ && now >= scope->next_) {
        scope->next_   = now + interval;
        scope->answer_ = scope->ask_();
    }
    return scope->answer_ ? &*scope->answer_ : nullptr;
}

void check_interruption() {
    if (const Failure * failure = interruption()) {
        throw Error(failure->code, failure->message);
    }
}

}  // namespace luup
