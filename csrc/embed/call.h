// A call that computes in its caller's thread: its progress, and whether it has to end.
#pragma once

#include "luup_agent.h"

#include <atomic>
#include <chrono>
#include <cstddef>

namespace luup {

class Call {
  public:
    // `closing` says that the model is being closed. `total` is the number of texts.
    Call(const luup_embed_params & params, const std::atomic<bool> & closing, size_t total)
        : params_(params), closing_(closing), total_(total) {}

    // Whether the call has to end. Asks the caller's progress function, at most every 100 ms.
    bool stopped();

    // Throws the Error of a call that has to end, if it has to.
    void check();

    const luup_embed_params & params() const { return params_; }
    void                      add_done(size_t texts) { done_ += texts; }

  private:
    using Clock = std::chrono::steady_clock;

    const luup_embed_params   params_;
    const std::atomic<bool> & closing_;
    size_t                    done_ = 0, total_;
    Clock::time_point         next_;  // when to ask again
    bool                      cancelled_ = false;
};

}  // namespace luup
