// Error codes, the exception that carries one inside the core, and the calling thread's last error.
#pragma once

#include "luup_agent.h"

#include <stdexcept>
#include <string>

// The list of codes as name, value, text. error.cpp checks it against the enum in luup_agent.h.
#define LUUP_ERROR_LIST(X)                                                    \
    X(LUUP_SUCCESS, 0, "success")                                             \
    X(LUUP_ERROR_INVALID_PARAM, -1, "invalid parameter")                      \
    X(LUUP_ERROR_OUT_OF_MEMORY, -2, "out of memory")                          \
    X(LUUP_ERROR_MODEL_NOT_FOUND, -3, "model not found")                      \
    X(LUUP_ERROR_INFERENCE_FAILED, -4, "inference failed")                    \
    X(LUUP_ERROR_TOOL_NOT_FOUND, -5, "tool not found")                        \
    X(LUUP_ERROR_JSON_PARSE_FAILED, -6, "not valid JSON")                     \
    X(LUUP_ERROR_HTTP_FAILED, -7, "HTTP request failed")                      \
    X(LUUP_ERROR_BACKEND_INIT_FAILED, -8, "no usable compute backend")        \
    X(LUUP_ERROR_MODEL_LOAD_FAILED, -9, "the model can't be loaded")          \
    X(LUUP_ERROR_CONTEXT_FULL, -10, "the context is full")                    \
    X(LUUP_ERROR_INVALID_SCHEMA, -11, "invalid JSON schema")                  \
    X(LUUP_ERROR_CHAT_TEMPLATE, -12, "the chat template can't be used")       \
    X(LUUP_ERROR_CANCELLED, -13, "cancelled")                                 \
    X(LUUP_ERROR_TIMED_OUT, -14, "timed out")                                 \
    X(LUUP_ERROR_CLOSED, -15, "the model is closed")                          \
    X(LUUP_ERROR_BUSY, -16, "the agent is busy with another run")             \
    X(LUUP_ERROR_UNSUPPORTED, -17, "not supported")                           \
    X(LUUP_ERROR_IO, -18, "input or output failed")                           \
    X(LUUP_ERROR_FORKED, -19, "the handle belongs to the parent process")     \
    X(LUUP_ERROR_INTERNAL, -20, "internal error")                             \
    X(LUUP_ERROR_INVALID_OUTPUT, -21, "the output is not what was asked for") \
    X(LUUP_ERROR_MAX_TURNS, -22, "too many turns with tool calls")

namespace luup {

// Thrown inside the core. The C API (api/) turns it into a code and the calling thread's last error message.
class Error : public std::runtime_error {
  public:
    Error(luup_error code, const std::string & message) : std::runtime_error(message), code_(code) {}

    luup_error code() const { return code_; }

  private:
    luup_error code_;
};

// Throws Error with a printf-style message.
[[noreturn]]
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void fail(luup_error code, const char * format, ...);

// Stores an error as the calling thread's last one and returns its code.
int set_last_error(luup_error code, const std::string & message) noexcept;

// An exception as code and message.
struct Failure {
    luup_error  code = LUUP_SUCCESS;
    std::string message;
};

// Returns the exception that is being handled. Call it inside a catch block only.
Failure current_failure() noexcept;

}  // namespace luup
