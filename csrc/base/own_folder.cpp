#include "base/own_folder.h"

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/system_error.h"
#include "base/text.h"

#include <utility>

#ifdef __linux__
#    include <cerrno>
#    include <chrono>
#    include <filesystem>
#    include <fstream>

#    include <fcntl.h>
#    include <sys/file.h>
#    include <sys/stat.h>
#    include <sys/statvfs.h>
#    include <unistd.h>
#endif

namespace luup {

std::string FileIdentity::text() const {
    return std::to_string(device) + " " + std::to_string(inode) + " " + std::to_string(size) + " " +
           std::to_string(modified) + " " + std::to_string(changed);
}

OwnFile::OwnFile(OwnFile && other) noexcept : file_(std::exchange(other.file_, -1)), identity_(other.identity_) {}

OwnFile & OwnFile::operator=(OwnFile && other) noexcept {
    std::swap(file_, other.file_);
    std::swap(identity_, other.identity_);
    return *this;
}

#ifdef __linux__

namespace {

int64_t nanoseconds(const timespec & time) {
    return static_cast<int64_t>(time.tv_sec) * 1000000000 + time.tv_nsec;
}

FileIdentity identity_of(const struct stat & info) {
    FileIdentity file;
    file.device   = static_cast<uint64_t>(info.st_dev);
    file.inode    = static_cast<uint64_t>(info.st_ino);
    file.size     = static_cast<uint64_t>(info.st_size);
    file.modified = nanoseconds(info.st_mtim);
    file.changed  = nanoseconds(info.st_ctim);
    return file;
}

// Others may neither read nor write it.
bool is_own(const struct stat & info) {
    return info.st_uid == geteuid() && (info.st_mode & (S_IRWXG | S_IRWXO)) == 0;
}

}  // namespace

std::optional<FileIdentity> identify_file(const std::string & path) {
    struct stat info = {};
    if (stat(path.c_str(), &info) != 0) {
        return std::nullopt;
    }
    return identity_of(info);
}

bool is_settled(const FileIdentity & file) {
    constexpr int64_t enough = 2000000000;  // FAT keeps times in steps of two seconds
    timespec          time   = {};
    clock_gettime(CLOCK_REALTIME, &time);
    const int64_t now = nanoseconds(time);
    return now - file.modified > enough && now - file.changed > enough;
}

OwnFile::~OwnFile() {
    if (file_ >= 0) {
        close(file_);
    }
}

bool OwnFile::read(void * data, size_t size, uint64_t offset) const {
    auto * bytes = static_cast<char *>(data);
    while (size > 0) {
        const ssize_t n = pread(file_, bytes, size, static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        bytes += n;
        offset += static_cast<uint64_t>(n);
        size -= static_cast<size_t>(n);
    }
    return true;
}

OwnFolder::OwnFolder(const std::string & path) {
    std::error_code ec;
    std::filesystem::create_directories(std::filesystem::u8path(path).parent_path(), ec);
    struct stat info = {};
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
        log_write(LUUP_LOG_INFO, "the folder " + path + " can't be made: " + system_reason());
    } else if (stat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
        log_write(LUUP_LOG_WARN, path + " is not a folder, so no weights are kept there");
    } else if (info.st_uid != geteuid() || (info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        log_write(LUUP_LOG_WARN, "other users may write to the folder " + path +
                                     ", so no weights are kept there; `chmod 700` makes it this user's alone");
    } else {
        path_ = path;
    }
}

OwnFile OwnFolder::open(const std::string & name) const {
    OwnFile     file;
    struct stat info = {};
    if (lstat(path(name).c_str(), &info) != 0) {
        return file;
    }
    if (S_ISREG(info.st_mode) && is_own(info)) {
        file.file_ = ::open(path(name).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (file.file_ >= 0 && fstat(file.file_, &info) == 0 && S_ISREG(info.st_mode) && is_own(info)) {
            file.identity_ = identity_of(info);
            return file;
        }
    }
    log_write(LUUP_LOG_WARN, path(name) + " is not a regular file of this user alone, and is removed");
    remove(name);
    return {};
}

std::optional<std::string> OwnFolder::read(const std::string & name, size_t limit) const {
    const OwnFile file = open(name);
    if (!file || file.identity().size > limit) {
        return std::nullopt;
    }
    std::string content(static_cast<size_t>(file.identity().size), '\0');
    if (!file.read(&content[0], content.size(), 0)) {
        return std::nullopt;
    }
    return content;
}

bool OwnFolder::write(const std::string & name, const std::string & content) const {
    try {
        open(name);  // removes what is not a file
        AtomicFile file(path(name));
        file.write(content.data(), content.size());
        file.commit_soon();
        return true;
    } catch (const Error & error) {
        log_write(LUUP_LOG_INFO, error.what());
        return false;
    }
}

void OwnFolder::remove(const std::string & name) const {
    std::error_code ignored;
    std::filesystem::remove(std::filesystem::u8path(path(name)), ignored);
}

void OwnFolder::touch(const std::string & name) const {
    utimensat(AT_FDCWD, path(name).c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
}

std::vector<OwnFolder::Entry> OwnFolder::list(const std::string & end) const {
    std::vector<Entry> entries;
    for (std::string & name : names_in(path_)) {
        struct stat info = {};
        if (ends_with(name, end) && lstat(path(name).c_str(), &info) == 0 && !S_ISDIR(info.st_mode)) {
            Entry entry;
            entry.name = std::move(name);
            entry.size = static_cast<uint64_t>(info.st_size);
            entry.used = nanoseconds(info.st_mtim);
            entries.push_back(std::move(entry));
        }
    }
    return entries;
}

uint64_t OwnFolder::free_bytes() const {
    struct statvfs info = {};
    return statvfs(path_.c_str(), &info) == 0 ? static_cast<uint64_t>(info.f_bavail) * info.f_frsize : 0;
}

uint64_t OwnFolder::disk_bytes() const {
    struct statvfs info = {};
    return statvfs(path_.c_str(), &info) == 0 ? static_cast<uint64_t>(info.f_blocks) * info.f_frsize : 0;
}

OwnLock::~OwnLock() {
    release();
}

OwnLock::Result OwnLock::try_take(const OwnFolder & folder, const std::string & name) {
    if (file_ < 0) {
        file_ = ::open(folder.path(name).c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    }
    if (file_ < 0) {
        return Result::Impossible;
    }
    if (flock(file_, LOCK_EX | LOCK_NB) == 0) {
        return Result::Taken;
    }
    return errno == EWOULDBLOCK || errno == EINTR ? Result::Busy : Result::Impossible;
}

void OwnLock::release() {
    if (file_ >= 0) {
        flock(file_, LOCK_UN);  // close() alone would not unlock it while a forked child has the file open
        close(file_);
        file_ = -1;
    }
}

std::string boot_id() {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string   id;
    return std::getline(file, id) ? id : "";
}

#else

std::optional<FileIdentity> identify_file(const std::string &) {
    return std::nullopt;
}

bool is_settled(const FileIdentity &) {
    return false;
}

OwnFile::~OwnFile() = default;

bool OwnFile::read(void *, size_t, uint64_t) const {
    return false;
}

OwnFolder::OwnFolder(const std::string &) {}

OwnFile OwnFolder::open(const std::string &) const {
    return {};
}

std::optional<std::string> OwnFolder::read(const std::string &, size_t) const {
    return std::nullopt;
}

bool OwnFolder::write(const std::string &, const std::string &) const {
    return false;
}

void OwnFolder::remove(const std::string &) const {}

void OwnFolder::touch(const std::string &) const {}

std::vector<OwnFolder::Entry> OwnFolder::list(const std::string &) const {
    return {};
}

uint64_t OwnFolder::free_bytes() const {
    return 0;
}

uint64_t OwnFolder::disk_bytes() const {
    return 0;
}

OwnLock::~OwnLock() = default;

OwnLock::Result OwnLock::try_take(const OwnFolder &, const std::string &) {
    return Result::Impossible;
}

void OwnLock::release() {}

std::string boot_id() {
    return "";
}

#endif

}  // namespace luup
