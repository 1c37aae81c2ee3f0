#include "base/fair_lock.h"

#include <algorithm>
#include <chrono>

namespace luup {

namespace {

constexpr std::chrono::milliseconds pause(50);

}  // namespace

FairLock::Hold::Hold(FairLock & lock, const std::function<void()> & check) : lock_(lock) {
    std::unique_lock<std::mutex> guard(lock_.mutex_);
    place_    = lock_.queue_.insert(lock_.queue_.end(), std::this_thread::get_id());
    auto next = std::chrono::steady_clock::now() + pause;
    while (place_ != lock_.queue_.begin()) {
        lock_.changed_.wait_until(guard, next);
        if (std::chrono::steady_clock::now() < next) {
            continue;
        }
        next += pause;
        guard.unlock();
        try {
            check();
        } catch (...) {
            guard.lock();
            lock_.queue_.erase(place_);
            lock_.changed_.notify_all();
            throw;
        }
        guard.lock();
    }
}

FairLock::Hold::~Hold() {
    const std::lock_guard<std::mutex> guard(lock_.mutex_);
    lock_.queue_.erase(place_);
    lock_.changed_.notify_all();
}

bool FairLock::mine() const {
    const std::lock_guard<std::mutex> guard(mutex_);
    return std::find(queue_.begin(), queue_.end(), std::this_thread::get_id()) != queue_.end();
}

}  // namespace luup
