// Error codes and failures.
#include "check.h"
#include "base/error.h"

#include <string>

using namespace luup;

CASE(errors_have_names) {
    CHECK(std::string(luup_error_name(LUUP_ERROR_BUSY)) == "LUUP_ERROR_BUSY");
    CHECK(std::string(luup_error_name(-999)) == "LUUP_ERROR_UNKNOWN");
    try {
        fail(LUUP_ERROR_IO, "%d apples", 3);
    } catch (...) {
        const Failure failure = current_failure();
        CHECK(failure.code == LUUP_ERROR_IO && failure.message == "3 apples");
    }
}
