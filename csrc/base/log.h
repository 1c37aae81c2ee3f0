// The process-wide queue of log records. The core writes nothing to stderr and calls no log callback of the host: the
// host polls the queue with luup_log_next().
#pragma once

#include "luup_agent.h"

#include <string>

namespace luup {

// Redirects the logs of llama.cpp, ggml and llama-common into the queue. Calls after the first do nothing.
void log_install();

void log_write(luup_log_level level, const std::string & text) noexcept;

// Sets whether errors that llama.cpp logs in this thread become DEBUG records. It reports a decode that was aborted on
// purpose as an error.
void log_expect_errors(bool expected);

// Collects the errors that llama.cpp logs in this thread during its lifetime, for the message of a failed load.
class LogCapture {
  public:
    LogCapture();
    ~LogCapture();
    LogCapture(const LogCapture &)             = delete;
    LogCapture & operator=(const LogCapture &) = delete;

    // The errors so far, joined by "; ".
    const std::string & text() const { return text_; }

    void add(const std::string & line);

  private:
    std::string  text_;
    LogCapture * outer_;
};

}  // namespace luup
