#include "base/atomic_file.h"

#include "base/folder.h"
#include "base/system_error.h"
#include "base/text.h"

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <random>
#include <string>
#include <system_error>
#include <utility>

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

#if defined(_WIN32)

HANDLE handle_of(intptr_t file) {
    return reinterpret_cast<HANDLE>(file);
}

intptr_t create_new(const std::string & path) {
    return reinterpret_cast<intptr_t>(
        CreateFileW(wide_path(path).c_str(), GENERIC_WRITE, 0, nullptr, CREATE_NEW, FILE_ATTRIBUTE_NORMAL, nullptr));
}

void delete_left_over(const std::string & path) {
    DeleteFileW(wide_path(path).c_str());  // fails while another process has it open
}

bool exists_already() {
    return GetLastError() == ERROR_FILE_EXISTS;
}

bool write_some(intptr_t file, const char * data, size_t size, size_t & written) {
    DWORD      n = 0;
    const bool done =
        WriteFile(handle_of(file), data, static_cast<DWORD>(size < (1u << 30) ? size : (1u << 30)), &n, nullptr);
    written = n;
    return done;
}

bool sync_file(intptr_t file) {
    return FlushFileBuffers(handle_of(file));
}

bool close_file(intptr_t file) {
    return CloseHandle(handle_of(file));
}

bool replace_file(const std::string & part, const std::string & path) {
    return MoveFileExW(wide_path(part).c_str(), wide_path(path).c_str(),
                       MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH);
}

void keep_mode(intptr_t, const std::string &) {}

void sync_folder(const std::string &) {}

#else

intptr_t create_new(const std::string & path) {
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -1;
    }
    // The lock says that a living process writes the file. Another one that swept the folder before it was taken has
    // deleted the file, or is about to.
    struct stat info  = {};
    const bool  taken = flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (taken || (fstat(fd, &info) == 0 && info.st_nlink == 0)) {
        ::close(fd);
        errno = EEXIST;
        return -1;
    }
    return fd;
}

// Deletes a part file unless a living process writes it.
void delete_left_over(const std::string & path) {
    const int   fd   = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat info = {};
    if (fd >= 0) {
        if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && flock(fd, LOCK_EX | LOCK_NB) == 0) {
            unlink(path.c_str());
        }
        ::close(fd);
    }
}

bool exists_already() {
    return errno == EEXIST;
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

// Sets the permissions of the new file to those of the one that it replaces.
void keep_mode(intptr_t file, const std::string & path) {
    struct stat old = {};
    if (lstat(path.c_str(), &old) == 0 && S_ISREG(old.st_mode) &&
        fchmod(static_cast<int>(file), old.st_mode & 07777) != 0) {
        errno = 0;  // the file system has no modes
    }
}

// Writes the folder, and so the new name, to the disk. Errors are ignored: some file systems can't do it, and the
// content has been written in any case.
void sync_folder(const std::string & path) {
    const std::string folder = fs::u8path(path).parent_path().u8string();
    const int         fd     = open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        ::close(fd);
    }
}

#endif

constexpr char part_begin[]   = ".luup-";
constexpr char part_end[]     = ".part";
constexpr int  creation_tries = 100;

// Deletes what processes that died have left in a folder.
void sweep(const fs::path & folder) {
    for (const std::string & name : names_in(folder.u8string())) {
        if (name.rfind(part_begin, 0) == 0 && ends_with(name, part_end)) {
            delete_left_over((folder / fs::u8path(name)).u8string());
        }
    }
}

// Its length does not depend on the file's name, which may be as long as the file system allows.
std::string new_part_name() {
    static std::atomic<uint64_t> number{ 0 };
    return part_begin + std::to_string(std::random_device{}()) + "-" + std::to_string(++number) + part_end;
}

}  // namespace

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)), target_(path_) {
    std::error_code ec;
    const auto      status = fs::status(fs::u8path(path_), ec);
    if (status.type() == fs::file_type::none) {
        refuse(ec.message());
    }
    if (fs::exists(status) && !fs::is_regular_file(status)) {
        refuse(fs::is_directory(status) ? "it is a folder" : "it is not a regular file");
    }
    if (fs::exists(status) && fs::is_symlink(fs::symlink_status(fs::u8path(path_), ec))) {
        target_ = fs::canonical(fs::u8path(path_), ec).u8string();
        if (ec) {
            refuse(ec.message());
        }
    }
    const fs::path folder = fs::u8path(target_).parent_path();
    sweep(folder.empty() ? fs::u8path(".") : folder);
    for (int i = 0; i < creation_tries && file_ == -1; i++) {
        part_ = (folder / fs::u8path(new_part_name())).u8string();
        file_ = create_new(part_);
        if (file_ == -1 && !exists_already()) {
            break;
        }
    }
    if (file_ == -1) {
        refuse(system_reason());
    }
    keep_mode(file_, target_);
}

AtomicFile::~AtomicFile() {
    if (file_ != -1) {
        close_file(file_);
    }
    if (!written_ && !part_.empty()) {
        std::error_code ignored;
        fs::remove(fs::u8path(part_), ignored);
    }
}

void AtomicFile::refuse(const std::string & reason) const {
    fail_io(path_, "can't be written", reason);
}

void AtomicFile::write(const void * data, size_t size) {
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

void AtomicFile::commit() {
    if (!sync_file(file_)) {
        refuse(system_reason());
    }
    replace();
    sync_folder(target_);
}

void AtomicFile::commit_soon() {
    replace();
}

void AtomicFile::replace() {
    const intptr_t file = file_;
    file_               = -1;
    if (!close_file(file) || !replace_file(part_, target_)) {
        refuse(system_reason());
    }
    written_ = true;
}

}  // namespace luup
