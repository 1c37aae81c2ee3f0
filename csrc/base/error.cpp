#include "base/error.h"

#include <cstdarg>
#include <cstdio>
#include <new>

namespace luup {

#define X(name, value, text) static_assert(name == value, #name " has another value in luup_agent.h");
LUUP_ERROR_LIST(X)
#undef X

namespace {

struct LastError {
    int         code = LUUP_SUCCESS;
    std::string message;
};

thread_local LastError last_error;

}  // namespace

void fail(luup_error code, const char * format, ...) {
    char    buffer[1024];
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(buffer, sizeof(buffer), format, args);
    va_end(args);
    if (length < 0) {
        throw Error(code, format);
    }
    throw Error(code, buffer);
}

int set_last_error(luup_error code, const std::string & message) noexcept {
    last_error.code = code;
    try {
        last_error.message = message;
    } catch (...) {
        last_error.message.clear();
    }
    return code;
}

namespace {

Failure handled_failure() {
    try {
        throw;
    } catch (const Error & e) {
        return { e.code(), e.what() };
    } catch (const std::bad_alloc &) {
        return { LUUP_ERROR_OUT_OF_MEMORY, "out of memory" };
    } catch (const std::exception & e) {
        return { LUUP_ERROR_INTERNAL, e.what() };
    } catch (...) {
        return { LUUP_ERROR_INTERNAL, "an exception of unknown type" };
    }
}

}  // namespace

Failure current_failure() noexcept {
    try {
        return handled_failure();
    } catch (...) {  // there is no memory for its message; this one needs none
        return { LUUP_ERROR_OUT_OF_MEMORY, "out of memory" };
    }
}

}  // namespace luup

int luup_last_error_code(void) {
    return luup::last_error.code;
}

const char * luup_last_error_message(void) {
    return luup::last_error.message.c_str();
}

const char * luup_error_name(int code) {
    switch (code) {
#define X(name, value, text) \
    case value: return #name;
        LUUP_ERROR_LIST(X)
#undef X
        default: return "LUUP_ERROR_UNKNOWN";
    }
}

const char * luup_error_text(int code) {
    switch (code) {
#define X(name, value, text) \
    case value: return text;
        LUUP_ERROR_LIST(X)
#undef X
        default: return "unknown error code";
    }
}
