// Wakes a host that waits on a socket or pipe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_set>
#include <vector>

namespace luup {

// Writes a byte into a non-blocking socket or pipe (a SOCKET on Windows). A full one is left as it is: it wakes the
// host anyway.
void write_wakeup(intptr_t fd);

// Wakes an event loop that waits for many sources, and keeps the tags of those that have something for it. At most one
// byte is on its way, however many sources are ready. All methods may be called from any thread.
class Waker {
  public:
    explicit Waker(intptr_t fd) : fd_(fd) {}
    Waker(const Waker &)             = delete;
    Waker & operator=(const Waker &) = delete;

    // Nothing is written to the descriptor from now on.
    void close();

    // The source `tag` has something. One that can wait writes no byte while the host looks by itself, see take().
    void signal(uint64_t tag, bool can_wait);

    // Moves up to `capacity` tags to `tags`, each once, in the order in which they came, and returns their number. If
    // there was one, the host looks again within a few milliseconds, and until then what can wait writes no byte.
    size_t take(uint64_t * tags, size_t capacity);

  private:
    std::mutex                   mutex_;
    intptr_t                     fd_;  // -1 once it is closed
    std::vector<uint64_t>        ready_;
    std::unordered_set<uint64_t> known_;  // those in ready_
    bool                         written_ = false;  // since the host looked
    bool                         looks_   = false;  // the host looks again by itself
};

}  // namespace luup
