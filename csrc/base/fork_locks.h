// Locks of the whole process that work in the child of a fork() by the host program, whatever other threads were doing.
#pragma once

#include <mutex>

namespace luup {

// The locks in the order in which a thread takes them. ggml's own comes before the log's.
enum class ForkLock { Weights, MappedFiles, Backends, RpcServers, Log };

// Has fork() wait until no thread holds `mutex`, which lives as long as the process. Call it once for each lock, while
// the library is loaded: a fork that runs meanwhile holds it up, and would find a static variable half made. A
// thread that holds one must not wait for another thread that forks: not for Python's lock, for example.
void keep_over_fork(ForkLock which, std::mutex & mutex);

// While it lives, a fork() of this thread leaves the locks alone; it may hold some itself.
class OwnFork {
  public:
    OwnFork();
    ~OwnFork();
    OwnFork(const OwnFork &)             = delete;
    OwnFork & operator=(const OwnFork &) = delete;
};

}  // namespace luup
