// The process-wide queue of log records. Nothing is written to stderr, and no caller's code runs in the decoding thread.
#pragma once

#include "luup_agent.h"

#include <string>

namespace luup {

// Sends the logs of llama.cpp, ggml and llama-common into the queue. Safe to call often.
void log_install();

void log_write(luup_log_level level, const std::string & text) noexcept;

// From now on errors that llama.cpp logs in this thread are DEBUG records: it reports a decode that was aborted on purpose as failed.
void log_expect_errors(bool expected);

// While one lives, error records of llama.cpp from this thread are collected, to tell why a load failed.
class LogCapture {
  public:
    LogCapture();
    ~LogCapture();
    LogCapture(const LogCapture &)             = delete;
    LogCapture & operator=(const LogCapture &) = delete;

    // The error lines so far, joined by "; ".
    const std::string & text() const { return text_; }

    void add(const std::string & line);

  private:
    std::string  text_;
    LogCapture * outer_;
};

}  // namespace luup
