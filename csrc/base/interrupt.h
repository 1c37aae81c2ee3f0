// Ends long computations of a thread of the caller when a run's timeout passes or the run is cancelled.
#pragma once

#include "base/error.h"

#include <chrono>
#include <functional>
#include <optional>

namespace luup {

// While it lives, interruption() and check_interruption() of this thread ask `ask`, at most once a millisecond, which
// returns why the computation has to end, if it has to. The answer is final.
class InterruptScope {
  public:
    explicit InterruptScope(std::function<std::optional<Failure>()> ask);
    ~InterruptScope();

    InterruptScope(const InterruptScope &)             = delete;
    InterruptScope & operator=(const InterruptScope &) = delete;

  private:
    friend const Failure * interruption();

    std::function<std::optional<Failure>()> ask_;
    InterruptScope *                        outer_;
    std::chrono::steady_clock::time_point   next_;
    std::optional<Failure>                  answer_;
};

// Return why this thread's computation has to end; null if it may go on. Cheap: call it every few microseconds of work.
const Failure * interruption();

// Throws Error if this thread's computation has to end.
void check_interruption();

}  // namespace luup
