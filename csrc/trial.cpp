#include "trial.h"

#if defined(_WIN32)

namespace luup {

bool try_in_child(const std::function<bool()> &, double, size_t, bool otherwise) {
    return otherwise;
}

}  // namespace luup

#else

#    include <poll.h>
#    include <sys/resource.h>
#    include <sys/wait.h>
#    include <unistd.h>

#    include <cerrno>
#    include <chrono>
#    include <csignal>
#    include <cstdio>

namespace luup {

namespace {

size_t virtual_memory() {
    size_t pages = 0;
#    if defined(__linux__)
    if (FILE * file = std::fopen("/proc/self/statm", "r")) {
        if (std::fscanf(file, "%zu", &pages) != 1) {
            pages = 0;
        }
        std::fclose(file);
    }
#    endif
    return pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

[[noreturn]] void run_child(int fd, const std::function<bool()> & task, double seconds, rlim_t memory) {
    const rlimit no_core = { 0, 0 };
    setrlimit(RLIMIT_CORE, &no_core);
    const rlim_t cpu       = static_cast<rlim_t>(seconds) + 1;
    const rlimit cpu_limit = { cpu, cpu };
    setrlimit(RLIMIT_CPU, &cpu_limit);
    if (memory > 0) {
        const rlimit memory_limit = { memory, memory };
        setrlimit(RLIMIT_AS, &memory_limit);
    }
    // The parent's handlers (Python's faulthandler among them) must not report this child's end.
    for (int number : { SIGILL, SIGSEGV, SIGBUS, SIGFPE, SIGTRAP, SIGABRT, SIGTERM, SIGINT }) {
        signal(number, SIG_DFL);
    }
    char answer = 'n';
    try {
        answer = task() ? 'y' : 'n';
    } catch (...) {
    }
    while (write(fd, &answer, 1) < 0 && errno == EINTR) {
    }
    _exit(0);
}

}  // namespace

bool try_in_child(const std::function<bool()> & task, double seconds, size_t memory, bool) {
    const size_t used = virtual_memory();
    int          fds[2];
    if (pipe(fds) != 0) {
        return false;
    }
    const pid_t child = fork();
    if (child == 0) {
        close(fds[0]);
        run_child(fds[1], task, seconds, used > 0 ? used + memory : 0);
    }
    close(fds[1]);
    char answer = 'n';
    if (child > 0) {
        using clock         = std::chrono::steady_clock;
        const auto deadline = clock::now() + std::chrono::duration<double>(seconds);
        pollfd     ready    = { fds[0], POLLIN, 0 };
        int        rc       = 0;
        do {
            const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock::now()).count();
            rc              = poll(&ready, 1, left > 0 ? static_cast<int>(left) + 1 : 0);
        } while (rc < 0 && errno == EINTR);
        if (rc <= 0 || read(fds[0], &answer, 1) != 1) {
            answer = 'n';
        }
        kill(child, SIGKILL);
        while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
        }
    }
    close(fds[0]);
    return answer == 'y';
}

}  // namespace luup

#endif
