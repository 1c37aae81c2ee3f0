// A lock that threads get in the order in which they asked for it.
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <thread>

namespace luup {

class FairLock {
  public:
    // Holds the lock while it lives.
    class Hold {
      public:
        // Waits for the lock, and calls `check` every 50 ms meanwhile. If that throws, the wait ends. A thread that
        // mine() is true for must not wait.
        Hold(FairLock & lock, const std::function<void()> & check);
        ~Hold();
        Hold(const Hold &)             = delete;
        Hold & operator=(const Hold &) = delete;

      private:
        FairLock &                           lock_;
        std::list<std::thread::id>::iterator place_;
    };

    // Whether this thread holds the lock or waits for it: a function that it called from there asks.
    bool mine() const;

  private:
    mutable std::mutex         mutex_;
    std::condition_variable    changed_;
    std::list<std::thread::id> queue_;  // the first one holds the lock
};

}  // namespace luup
