#include "engine/inbox.h"

#include "base/error.h"

namespace luup {

void Inbox::submit(std::shared_ptr<Completion> completion) {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        if (closing_) {
            throw Error(LUUP_ERROR_CLOSED, "the model is closed");
        }
        if (max_waiting_ >= 0 && !completion->admitted) {
            check_room();
        }
        completions_.push_back(std::move(completion));
        stats_.runs_waiting++;
    }
    wakeup_.notify_one();
}

// mutex_ is held. A completion that arrives waits only if no sequence is free for it.
void Inbox::check_room() const {
    const auto    arriving = static_cast<int32_t>(completions_.size());
    const int32_t stuck    = stats_.runs_waiting - arriving;
    const int32_t free     = stuck > 0 ? 0 : max_active_ - stats_.runs_active;
    if (stuck + arriving - free >= max_waiting_) {
        fail(LUUP_ERROR_BUSY, "the model is busy: %d runs are active and %d wait already (max_waiting)",
             stats_.runs_active, stats_.runs_waiting);
    }
}

bool Inbox::post(Task task) {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        if (closing_) {
            return false;
        }
        tasks_.push_back(std::move(task));
    }
    wakeup_.notify_one();
    return true;
}

void Inbox::interrupt() {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        interrupts_.fetch_add(1, std::memory_order_release);
    }
    wakeup_.notify_one();
}

void Inbox::close() {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        closing_ = true;
        interrupts_.fetch_add(1, std::memory_order_release);
    }
    wakeup_.notify_one();
}

luup_model_stats Inbox::stats() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return stats_;
}

bool Inbox::wait(bool busy) {
    std::unique_lock<std::mutex> lock(mutex_);
    wakeup_.wait(lock, [&] { return busy || closing_ || !completions_.empty() || !tasks_.empty(); });
    return !closing_;
}

std::shared_ptr<Completion> Inbox::take_completion() {
    std::lock_guard<std::mutex> lock(mutex_);
    std::shared_ptr<Completion> completion;
    if (!completions_.empty()) {
        completion = std::move(completions_.front());
        completions_.pop_front();
    }
    return completion;
}

Inbox::Task Inbox::take_task() {
    std::lock_guard<std::mutex> lock(mutex_);
    Task                        task;
    if (!tasks_.empty()) {
        task = std::move(tasks_.front());
        tasks_.pop_front();
    }
    return task;
}

void Inbox::publish(luup_model_stats stats) {
    std::lock_guard<std::mutex> lock(mutex_);
    stats.runs_waiting += static_cast<int32_t>(completions_.size());
    stats_ = stats;
}

}  // namespace luup
