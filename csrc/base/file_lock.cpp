#include "base/file_lock.h"

#include "base/system_error.h"

#include <cerrno>
#include <chrono>
#include <random>
#include <thread>

#if defined(_WIN32)
#    include <windows.h>
#else
#    include <fcntl.h>
#    include <sys/file.h>
#    include <sys/stat.h>
#    include <unistd.h>
#endif

namespace luup {

#if defined(_WIN32)

namespace {

HANDLE lock_handle(intptr_t file) {
    return reinterpret_cast<HANDLE>(file);
}

}  // namespace

FileLock::FileLock(const std::string & path, double seconds) {
    const HANDLE file =
        CreateFileW(wide_path(path).c_str(), GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, nullptr,
                    OPEN_ALWAYS, FILE_ATTRIBUTE_NORMAL | FILE_FLAG_OPEN_REPARSE_POINT, nullptr);
    if (file == INVALID_HANDLE_VALUE) {
        fail_io(path, "can't be opened", system_reason());
    }
    file_               = reinterpret_cast<intptr_t>(file);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    OVERLAPPED where    = {};
    while (!LockFileEx(file, LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &where)) {
        const bool taken = GetLastError() == ERROR_LOCK_VIOLATION;
        if (!taken || std::chrono::steady_clock::now() >= deadline) {
            const std::string reason = taken ? "another process or thread holds it" : system_reason();
            CloseHandle(file);
            fail_io(path, "can't be locked", reason);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

FileLock::~FileLock() {
    OVERLAPPED where = {};
    UnlockFileEx(lock_handle(file_), 0, 1, 0, &where);
    CloseHandle(lock_handle(file_));
}

#else

FileLock::FileLock(const std::string & path, double seconds) {
    const int   fd   = open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    struct stat info = {};
    if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        const std::string reason = fd >= 0          ? "it is not a regular file"
                                   : errno == ELOOP ? "it is a symbolic link"
                                                    : system_reason();
        if (fd >= 0) {
            ::close(fd);
        }
        fail_io(path, "can't be opened", reason);
    }
    static thread_local std::minstd_rand random{ std::random_device{}() };
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        const bool taken = errno == EWOULDBLOCK;
        if ((!taken && errno != EINTR) || std::chrono::steady_clock::now() >= deadline) {
            const std::string reason = taken ? "another process or thread holds it" : system_reason();
            ::close(fd);
            fail_io(path, "can't be locked", reason);
        }
        std::this_thread::sleep_for(std::chrono::microseconds(200 + random() % 2000));
    }
    file_ = fd;
}

FileLock::~FileLock() {
    // close() alone would not unlock it while a forked child has the file open.
    flock(static_cast<int>(file_), LOCK_UN);
    ::close(static_cast<int>(file_));
}

#endif

}  // namespace luup
