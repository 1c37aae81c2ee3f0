// The part of the engine that other threads touch: what they hand to the engine's thread, and what they read of it.
#pragma once

#include "engine/completion.h"
#include "luup_agent.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace luup {

// Any thread may call the methods of the first part, the engine's thread those of the second. Each holds mutex_ for a
// moment, and calls nothing else while it does.
class Inbox {
  public:
    using Task = std::function<void()>;

    // `max_waiting`: how many completions may wait; -1 = no limit. `max_active`: how many the engine decodes at once.
    Inbox(int32_t max_waiting, int32_t max_active) : max_waiting_(max_waiting), max_active_(max_active) {}

    // Throws Error(LUUP_ERROR_CLOSED), or Error(LUUP_ERROR_BUSY) if too many completions wait.
    void submit(std::shared_ptr<Completion> completion);

    // Has the engine's thread call `task` between two steps. False once the engine closes.
    [[nodiscard]] bool post(Task task);

    // Wakes the engine's thread, so that it looks at the completions' `cancelled` flags now.
    void interrupt();

    // From now on, nothing is accepted.
    void close();

    // Neither of these locks.
    bool     closing() const { return closing_.load(std::memory_order_relaxed); }
    uint64_t interrupts() const { return interrupts_.load(std::memory_order_acquire); }

    // Everything but the `size` field.
    luup_model_stats stats() const;

    // Sleeps while there is nothing to do, unless the engine is `busy`. False when the engine closes.
    bool wait(bool busy);

    // Returns the next submitted completion; null if there is none.
    std::shared_ptr<Completion> take_completion();

    // The next task; empty if there is none.
    Task take_task();

    // Replaces what stats() returns. Adds those that wait here to `stats.runs_waiting`.
    void publish(luup_model_stats stats);

  private:
    void check_room() const;

    const int32_t                           max_waiting_;
    const int32_t                           max_active_;
    std::atomic<uint64_t>                   interrupts_{ 0 };
    std::atomic<bool>                       closing_{ false };
    mutable std::mutex                      mutex_;
    std::condition_variable                 wakeup_;
    std::deque<std::shared_ptr<Completion>> completions_;
    std::deque<Task>                        tasks_;
    luup_model_stats                        stats_ = {};
};

}  // namespace luup
