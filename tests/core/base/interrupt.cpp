// The end of long computations.
#include "check.h"
#include "base/interrupt.h"

#include <thread>

using namespace luup;

CASE(a_computation_ends_when_its_scope_says_so) {
    check_interruption();  // without a scope
    int                  asked = 0;
    const InterruptScope outer([&]() -> std::optional<Failure> {
        return ++asked > 2 ? std::make_optional(Failure{ LUUP_ERROR_TIMED_OUT, "late" }) : std::nullopt;
    });
    {
        const InterruptScope inner([]() -> std::optional<Failure> { return std::nullopt; });
        for (int i = 0; i < 100; i++) {
            check_interruption();
        }
        CHECK(asked == 0);
    }
    luup_error code = LUUP_SUCCESS;
    try {
        for (int i = 0; i < 1000; i++) {
            check_interruption();
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    } catch (const Error & e) {
        code = e.code();
    }
    CHECK(code == LUUP_ERROR_TIMED_OUT);
    CHECK(asked == 3);
    CHECK(interruption() != nullptr);  // the answer is final
    CHECK(asked == 3);
    std::thread([] { check_interruption(); }).join();  // of this thread alone
}
