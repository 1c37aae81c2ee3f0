#include "base/child_trial.h"

#if !defined(__linux__)

namespace luup {

std::string try_in_child(const std::function<void()> &, const TrialLimits &, TrialEnd * end) {
    if (end) {
        *end = TrialEnd::NotTried;
    }
    return "";
}

}  // namespace luup

#else

#    include "base/fork_locks.h"
#    include "base/log.h"
#    include "base/system_error.h"
#    include "luup_agent.h"

#    include "ggml-threading.h"
#    include "ggml.h"

#    include <fcntl.h>
#    include <poll.h>
#    include <sys/prctl.h>
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
constexpr double patience   = 10;  // wall-clock time per processor time: the machine may be busy
constexpr char   success[]  = "\1";

int report_fd = -1;  // in the child: where ggml's abort callback writes

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
    // The parent's signal handlers, such as Python's faulthandler, must not report the child's crash, and nothing of it
    // may appear on stderr. Signals that a terminal or a supervisor sends to the
    // whole process group are for the parent alone.
    for (int number : { SIGILL, SIGSEGV, SIGBUS, SIGFPE, SIGTRAP, SIGABRT, SIGSYS, SIGXCPU }) {
        signal(number, SIG_DFL);
    }
    for (int number : { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGPIPE, SIGUSR1, SIGUSR2, SIGALRM, SIGPROF }) {
        signal(number, SIG_IGN);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int null = open("/dev/null", O_RDWR);
    if (null >= 0) {
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
    }
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

// Makes a pipe that programs begun meanwhile don't inherit. In a daemon without standard streams the descriptors would
// be among 0 to 2, which the child redirects: they are moved above.
bool make_pipe(int (&fds)[2]) {
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return false;
    }
    for (int & fd : fds) {
        if (fd <= STDERR_FILENO) {
            const int low = fd;
            fd            = fcntl(low, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
            close(low);
        }
    }
    if (fds[0] < 0 || fds[1] < 0) {
        const int reason = errno;
        close(fds[0]);
        close(fds[1]);
        errno = reason;
        return false;
    }
    return true;
}

// The report and the end of the child.
struct Watched {
    std::string report;
    int         status = 0;  // 0, too, if the host program has reaped the child
    bool        late   = false;
    double      work   = 0;  // seconds of processor time, of a child that was late
};

double seconds_of(const timeval & time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

// Reads what the child reports until it succeeds, ends, or the time is over. The end of the pipe does not prove that: a
// process that another thread has forked meanwhile holds it open.
Watched watch(pid_t child, int fd, double seconds) {
    using clock    = std::chrono::steady_clock;
    const auto end = clock::now() + std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(seconds));
    Watched    watched;
    bool       ended = false;
    while (watched.report != success) {
        pollfd    ready = { fd, POLLIN, 0 };
        const int rc    = poll(&ready, 1, ended ? 0 : 20);
        if (rc > 0) {
            char          buffer[256];
            const ssize_t n = read(fd, buffer, sizeof(buffer));
            if (n > 0) {
                watched.report.append(buffer, static_cast<size_t>(n));
                continue;
            }
        }
        if (ended) {
            return watched;
        }
        watched.late      = clock::now() > end;
        const pid_t which = waitpid(child, &watched.status, WNOHANG);
        ended             = which == child || (which < 0 && errno == ECHILD);
        if (!ended && watched.late) {
            break;
        }
        if (!ended && rc > 0) {  // the pipe is closed, and the child is about to end
            poll(nullptr, 0, 1);
        }
    }
    if (!ended) {
        int    ignored = 0;
        rusage used    = {};
        kill(child, SIGKILL);
        while (wait4(child, &ignored, 0, &used) < 0 && errno == EINTR) {
        }
        watched.work = seconds_of(used.ru_utime) + seconds_of(used.ru_stime);
    }
    return watched;
}

bool is_crash(int number) {
    const auto crashes = { SIGILL, SIGSEGV, SIGBUS, SIGFPE, SIGTRAP, SIGABRT, SIGSYS };
    return std::find(crashes.begin(), crashes.end(), number) != crashes.end();
}

}  // namespace

std::string try_in_child(const std::function<void()> & task, const TrialLimits & limits, TrialEnd * end) {
    TrialEnd unused;
    end                  = end ? end : &unused;
    *end                 = TrialEnd::NotTried;
    const auto not_tried = [] {
        log_write(
            LUUP_LOG_WARN,
            "a check in a child process was left out, because no child process could be started: " + system_reason());
        return std::string();
    };
    const size_t used = virtual_memory();
    int          fds[2];
    if (!make_pipe(fds)) {
        return not_tried();
    }
    // A lock that another thread holds during fork() stays locked in the child for ever. The C library takes care of
    // malloc's locks, ggml's lock is taken here, and the log's mutex is not touched in the child at level NONE.
    pid_t child = -1;
    {
        const OwnFork own;
        ggml_critical_section_start();
        child = fork();
        ggml_critical_section_end();
    }
    if (child == 0) {
        luup_log_set_level(LUUP_LOG_NONE);
        close(fds[0]);
        run_child(fds[1], task, limits.seconds, used > 0 ? used + limits.memory : 0);
    }
    const int reason = errno;
    close(fds[1]);
    if (child < 0) {
        close(fds[0]);
        errno = reason;
        return not_tried();
    }
    const Watched watched = watch(child, fds[0], limits.seconds * patience);
    close(fds[0]);
    if (watched.report == success) {
        *end = TrialEnd::Passed;
        return "";
    }
    const int ended_by = WIFSIGNALED(watched.status) ? WTERMSIG(watched.status) : 0;
    *end               = TrialEnd::Failed;
    if (!watched.report.empty()) {
        return watched.report;
    }
    if (ended_by == 0 && watched.late && watched.work < limits.seconds / 2) {
        *end = TrialEnd::NotTried;
        log_write(LUUP_LOG_WARN, "a check in a child process was left out, because the machine is too busy: in " +
                                     std::to_string(static_cast<int>(limits.seconds * patience)) +
                                     " seconds it got less than a tenth of a processor");
        return "";
    }
    if (ended_by == SIGXCPU || (ended_by == 0 && watched.late)) {
        return "it takes more than " + std::to_string(static_cast<int>(limits.seconds)) + " seconds";
    }
    if (ended_by != 0 && !is_crash(ended_by)) {
        *end = TrialEnd::Killed;
        return "the process that tried it was killed with signal " + std::to_string(ended_by) +
               (ended_by == SIGKILL ? ", perhaps for want of memory" : "");
    }
    return ended_by ? "it ends the process with signal " + std::to_string(ended_by) : "it ends the process";
}

}  // namespace luup

#endif
