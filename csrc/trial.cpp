#include "trial.h"

#if !defined(__linux__)

namespace luup {

std::string try_in_child(const std::function<void()> &, const TrialLimits &) {
    return "";
}

}  // namespace luup

#else

#    include "luup_agent.h"

#    include "ggml-threading.h"
#    include "ggml.h"

#    include <fcntl.h>
#    include <poll.h>
#    include <sys/resource.h>
#    include <sys/wait.h>
#    include <unistd.h>

#    include <algorithm>
#    include <cerrno>
#    include <chrono>
#    include <cmath>
#    include <csignal>
#    include <cstdio>
#    include <cstdlib>
#    include <cstring>
#    include <exception>
#    include <new>

namespace luup {

namespace {

constexpr size_t max_reason = 500;
constexpr double patience   = 10;  // the child may take so many times its processor time: the machine may be busy
constexpr char   success[]  = "\1";

int report_fd = -1;  // of the child, for ggml's abort callback

void report(const char * text) {
    size_t left = std::min(std::strlen(text), max_reason);
    while (left > 0) {
        const ssize_t n = write(report_fd, text, left);
        if (n < 0 && errno != EINTR) {
            return;
        }
        text += std::max<ssize_t>(n, 0);
        left -= static_cast<size_t>(std::max<ssize_t>(n, 0));
    }
}

void limit(int resource, rlim_t value) {
    const rlimit limits = { value, value };
    setrlimit(resource, &limits);
}

[[noreturn]] void run_child(int fd, const std::function<void()> & task, double seconds, rlim_t memory) {
    report_fd = fd;
    limit(RLIMIT_CORE, 0);
    const rlim_t work  = static_cast<rlim_t>(std::ceil(seconds));
    const rlimit times = { work, work + 1 };
    setrlimit(RLIMIT_CPU, &times);
    if (memory > 0) {
        limit(RLIMIT_AS, memory);
    }
    // The parent's handlers (Python's faulthandler among them) must not report this child's end, nor its standard error show it.
    for (int number : { SIGILL, SIGSEGV, SIGBUS, SIGFPE, SIGTRAP, SIGABRT, SIGTERM, SIGINT, SIGXCPU }) {
        signal(number, SIG_DFL);
    }
    const int null = open("/dev/null", O_RDWR);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    ggml_set_abort_callback([](const char * message) {
        report(message);
        _exit(1);
    });
    try {
        task();
        report(success);
    } catch (const std::bad_alloc &) {
        report("it needs too much memory");
    } catch (const std::exception & e) {
        report(e.what());
    } catch (...) {
        report("an exception of unknown type");
    }
    _exit(0);
}

size_t virtual_memory() {
    size_t pages = 0;
    if (FILE * file = std::fopen("/proc/self/statm", "r")) {
        if (std::fscanf(file, "%zu", &pages) != 1) {
            pages = 0;
        }
        std::fclose(file);
    }
    return pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

// What the child reports until it closes its end, or std::string() with `late` set when the time is over.
std::string read_report(int fd, double seconds, bool & late) {
    using clock     = std::chrono::steady_clock;
    const auto  end = clock::now() + std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(seconds));
    std::string text;
    for (;;) {
        const auto left  = std::chrono::duration_cast<std::chrono::milliseconds>(end - clock::now()).count();
        pollfd     ready = { fd, POLLIN, 0 };
        const int  rc    = poll(&ready, 1, left > 0 ? static_cast<int>(left) + 1 : 0);
        if (rc == 0) {
            late = true;
            return text;
        }
        char          buffer[256];
        const ssize_t n = rc > 0 ? read(fd, buffer, sizeof(buffer)) : -1;
        if (n == 0 || (n < 0 && errno != EINTR)) {
            return text;
        }
        text.append(buffer, static_cast<size_t>(std::max<ssize_t>(n, 0)));
    }
}

std::string how_it_ended(int status) {
    if (WIFSIGNALED(status)) {
        return "it ends the process with signal " + std::to_string(WTERMSIG(status));
    }
    return "it ends the process";
}

}  // namespace

std::string try_in_child(const std::function<void()> & task, const TrialLimits & limits) {
    const size_t used = virtual_memory();
    int          fds[2];
    if (pipe(fds) != 0) {
        return std::string("a pipe could not be made: ") + std::strerror(errno);
    }
    // A lock that another thread holds during fork() stays locked in the child for ever: malloc's are looked after by the C library,
    // ggml's is taken here, and of our own only the log's is left, which a level of NONE keeps away from.
    ggml_critical_section_start();
    const pid_t child = fork();
    ggml_critical_section_end();
    if (child == 0) {
        luup_log_set_level(LUUP_LOG_NONE);
        close(fds[0]);
        run_child(fds[1], task, limits.seconds, used > 0 ? used + limits.memory : 0);
    }
    close(fds[1]);
    if (child < 0) {
        close(fds[0]);
        return std::string("a process to try it in could not be made: ") + std::strerror(errno);
    }
    bool              late   = false;
    const std::string text   = read_report(fds[0], limits.seconds * patience, late);
    int               status = 0;
    close(fds[0]);
    kill(child, SIGKILL);
    // The program may reap all children by itself; then there is nothing to learn here.
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (late || (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)) {
        return "it takes more than " + std::to_string(static_cast<int>(limits.seconds)) + " seconds";
    }
    if (text == success) {
        return "";
    }
    return text.empty() ? how_it_ended(status) : text;
}

}  // namespace luup

#endif
