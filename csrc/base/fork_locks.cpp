#include "base/fork_locks.h"

#include "ggml-threading.h"

#if !defined(_WIN32)
#    include <pthread.h>
#endif

#include <array>
#include <atomic>
#include <cstddef>

namespace luup {

#if defined(_WIN32)

void keep_over_fork(ForkLock, std::mutex &) {}

OwnFork::OwnFork() = default;

OwnFork::~OwnFork() = default;

#else

namespace {

constexpr size_t n_locks = 5;

std::array<std::atomic<std::mutex *>, n_locks> locks{};
std::array<std::mutex *, n_locks>              held{};  // each written by the thread that holds the lock
thread_local bool                              own_fork = false;

void take(ForkLock which) {
    const size_t       i     = static_cast<size_t>(which);
    std::mutex * const mutex = locks[i].load();
    if (mutex) {
        mutex->lock();
        held[i] = mutex;
    }
}

void before_fork() {
    if (!own_fork) {
        take(ForkLock::Weights);
        take(ForkLock::MappedFiles);
        take(ForkLock::Backends);
        take(ForkLock::RpcServers);
        ggml_critical_section_start();
        take(ForkLock::Log);
    }
}

void after_fork() {
    if (!own_fork) {
        for (std::mutex *& mutex : held) {
            if (mutex) {
                std::mutex * const one = mutex;
                mutex                  = nullptr;
                one->unlock();
            }
        }
        ggml_critical_section_end();
    }
}

}  // namespace

void keep_over_fork(ForkLock which, std::mutex & mutex) {
    static const int registered = pthread_atfork(before_fork, after_fork, after_fork);
    static_cast<void>(registered);
    locks[static_cast<size_t>(which)] = &mutex;
}

OwnFork::OwnFork() {
    own_fork = true;
}

OwnFork::~OwnFork() {
    own_fork = false;
}

#endif

}  // namespace luup
