#include "whole_file.h"

#include "error.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <random>
#include <system_error>
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

namespace {

namespace fs = std::filesystem;
using Clock  = std::chrono::steady_clock;

std::string system_reason() {
#if defined(_WIN32)
    return std::system_category().message(static_cast<int>(GetLastError()));
#else
    return std::generic_category().message(errno);
#endif
}

[[noreturn]] void fail_io(const std::string & path, const char * what, const std::string & reason) {
    fail(LUUP_ERROR_IO, "%s %s: %s", path.c_str(), what, reason.c_str());
}

#if defined(_WIN32)

HANDLE handle_of(intptr_t file) {
    return reinterpret_cast<HANDLE>(file);
}

std::wstring wide(const std::string & path) {
    return fs::u8path(path).wstring();
}

intptr_t create_new(const std::string & path) {
    DeleteFileW(wide(path).c_str());
    return reinterpret_cast<intptr_t>(CreateFileW(wide(path).c_str(), GENERIC_WRITE, 0, nullptr, CREATE_NEW, FILE_ATTRIBUTE_NORMAL, nullptr));
}

bool write_some(intptr_t file, const char * data, size_t size, size_t & written) {
    DWORD      n    = 0;
    const bool done = WriteFile(handle_of(file), data, static_cast<DWORD>(size < (1u << 30) ? size : (1u << 30)), &n, nullptr);
    written         = n;
    return done;
}

bool sync_file(intptr_t file) {
    return FlushFileBuffers(handle_of(file));
}

bool close_file(intptr_t file) {
    return CloseHandle(handle_of(file));
}

bool replace_file(const std::string & part, const std::string & path) {
    return MoveFileExW(wide(part).c_str(), wide(path).c_str(), MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH);
}

void keep_mode(intptr_t, const std::string &) {}

void sync_folder(const std::string &) {}

#else

intptr_t create_new(const std::string & path) {
    unlink(path.c_str());
    return open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
}

bool write_some(intptr_t file, const char * data, size_t size, size_t & written) {
    ssize_t n = 0;
    do {
        n = ::write(static_cast<int>(file), data, size < (1u << 30) ? size : (1u << 30));
    } while (n < 0 && errno == EINTR);
    written = n < 0 ? 0 : static_cast<size_t>(n);
    return n >= 0;
}

bool sync_file(intptr_t file) {
    return fsync(static_cast<int>(file)) == 0;
}

bool close_file(intptr_t file) {
    return ::close(static_cast<int>(file)) == 0;
}

bool replace_file(const std::string & part, const std::string & path) {
    return rename(part.c_str(), path.c_str()) == 0;
}

// What replaces a file may be read by the same users.
void keep_mode(intptr_t file, const std::string & path) {
    struct stat old = {};
    if (lstat(path.c_str(), &old) == 0 && S_ISREG(old.st_mode) && fchmod(static_cast<int>(file), old.st_mode & 07777) != 0) {
        errno = 0;  // a file system without modes
    }
}

// The new name has to reach the disk, too. Not every file system can do it, and the content is there in any case.
void sync_folder(const std::string & path) {
    const std::string folder = fs::u8path(path).parent_path().u8string();
    const int         fd     = open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        ::close(fd);
    }
}

#endif

}  // namespace

// ---------------------------------------------------------------------------------------------------------------------
// Writing
// ---------------------------------------------------------------------------------------------------------------------

WholeFile::WholeFile(std::string path, std::string part) : path_(std::move(path)), part_(std::move(part)), file_(create_new(part_)) {
    if (file_ == -1) {
        refuse(system_reason());
    }
    keep_mode(file_, path_);
}

WholeFile::~WholeFile() {
    if (file_ != -1) {
        close_file(file_);
    }
    if (!written_) {
        std::error_code ignored;
        fs::remove(fs::u8path(part_), ignored);
    }
}

void WholeFile::refuse(const std::string & reason) const {
    fail_io(path_, "can't be written", reason);
}

void WholeFile::write(const void * data, size_t size) {
    const char * bytes = static_cast<const char *>(data);
    for (size_t written = 0; size > 0; bytes += written, size -= written) {
        if (!write_some(file_, bytes, size, written)) {
            refuse(system_reason());
        }
        if (written == 0) {
            refuse("the disk is full");
        }
    }
}

void WholeFile::commit() {
    if (!sync_file(file_)) {
        refuse(system_reason());
    }
    const intptr_t file = file_;
    file_               = -1;
    if (!close_file(file) || !replace_file(part_, path_)) {
        refuse(system_reason());
    }
    written_ = true;
    sync_folder(path_);
}

// ---------------------------------------------------------------------------------------------------------------------
// Locking and reading
// ---------------------------------------------------------------------------------------------------------------------

#if defined(_WIN32)

FileLock::FileLock(const std::string & path, double seconds) {
    const HANDLE file = CreateFileW(wide(path).c_str(), GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, nullptr, OPEN_ALWAYS,
                                    FILE_ATTRIBUTE_NORMAL | FILE_FLAG_OPEN_REPARSE_POINT, nullptr);
    if (file == INVALID_HANDLE_VALUE) {
        fail_io(path, "can't be opened", system_reason());
    }
    file_               = reinterpret_cast<intptr_t>(file);
    const auto deadline = Clock::now() + std::chrono::duration<double>(seconds);
    OVERLAPPED where    = {};
    while (!LockFileEx(file, LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &where)) {
        const bool taken = GetLastError() == ERROR_LOCK_VIOLATION;
        if (!taken || Clock::now() >= deadline) {
            const std::string reason = taken ? "another process or thread holds it" : system_reason();
            CloseHandle(file);
            fail_io(path, "can't be locked", reason);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

FileLock::~FileLock() {
    OVERLAPPED where = {};
    UnlockFileEx(handle_of(file_), 0, 1, 0, &where);
    CloseHandle(handle_of(file_));
}

#else

FileLock::FileLock(const std::string & path, double seconds) {
    const int   fd   = open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    struct stat info = {};
    if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        const std::string reason = fd >= 0 ? "it is not a regular file" : errno == ELOOP ? "it is a symbolic link"
                                                                                         : system_reason();
        if (fd >= 0) {
            ::close(fd);
        }
        fail_io(path, "can't be opened", reason);
    }
    static thread_local std::minstd_rand random{ std::random_device{}() };
    const auto                           deadline = Clock::now() + std::chrono::duration<double>(seconds);
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        const bool taken = errno == EWOULDBLOCK;
        if ((!taken && errno != EINTR) || Clock::now() >= deadline) {
            const std::string reason = taken ? "another process or thread holds it" : system_reason();
            ::close(fd);
            fail_io(path, "can't be locked", reason);
        }
        std::this_thread::sleep_for(std::chrono::microseconds(200 + random() % 2000));
    }
    file_ = fd;
}

FileLock::~FileLock() {
    flock(static_cast<int>(file_), LOCK_UN);  // a child that was forked meanwhile has the file open, too
    ::close(static_cast<int>(file_));
}

#endif

#if defined(_WIN32)

std::optional<std::string> read_whole_file(const std::string & path, uint64_t limit) {
    const HANDLE file = CreateFileW(wide(path).c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr, OPEN_EXISTING,
                                    FILE_ATTRIBUTE_NORMAL | FILE_FLAG_OPEN_REPARSE_POINT, nullptr);
    if (file == INVALID_HANDLE_VALUE) {
        if (GetLastError() == ERROR_FILE_NOT_FOUND) {
            return std::nullopt;
        }
        fail_io(path, "can't be read", system_reason());
    }
    BY_HANDLE_FILE_INFORMATION info = {};
    std::string                text, problem;
    if (!GetFileInformationByHandle(file, &info)) {
        problem = system_reason();
    } else if (info.dwFileAttributes & (FILE_ATTRIBUTE_REPARSE_POINT | FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_DEVICE)) {
        problem = "it is not a regular file";
    } else if ((static_cast<uint64_t>(info.nFileSizeHigh) << 32 | info.nFileSizeLow) > limit) {
        problem = "it has more than " + std::to_string(limit) + " bytes";
    }
    char  buffer[65536];
    DWORD n = 1;
    while (problem.empty() && n > 0) {
        if (!ReadFile(file, buffer, sizeof(buffer), &n, nullptr)) {
            problem = system_reason();
        } else {
            text.append(buffer, n);
        }
    }
    CloseHandle(file);
    if (!problem.empty()) {
        fail_io(path, "can't be read", problem);
    }
    return text;
}

#else

std::optional<std::string> read_whole_file(const std::string & path, uint64_t limit) {
    const int fd = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        if (errno == ENOENT) {
            return std::nullopt;
        }
        fail_io(path, "can't be read", errno == ELOOP ? "it is a symbolic link" : system_reason());
    }
    struct stat info = {};
    std::string text, problem;
    if (fstat(fd, &info) != 0) {
        problem = system_reason();
    } else if (!S_ISREG(info.st_mode)) {
        problem = S_ISDIR(info.st_mode) ? "it is a folder" : "it is not a regular file";
    } else if (static_cast<uint64_t>(info.st_size) > limit) {
        problem = "it has more than " + std::to_string(limit) + " bytes";
    }
    char    buffer[65536];
    ssize_t n = 1;
    while (problem.empty() && n != 0) {
        n = read(fd, buffer, sizeof(buffer));
        if (n > 0) {
            text.append(buffer, static_cast<size_t>(n));
        } else if (n < 0 && errno != EINTR) {
            problem = system_reason();
        }
    }
    ::close(fd);
    if (!problem.empty()) {
        fail_io(path, "can't be read", problem);
    }
    return text;
}

#endif

std::string absolute_path(const std::string & path) {
    std::error_code ec;
    const fs::path  whole = fs::absolute(fs::u8path(path), ec);
    if (ec) {
        fail_io(path, "can't be found", ec.message());
    }
    return whole.u8string();
}

}  // namespace luup
