#include "base/read_file.h"

#include "base/system_error.h"

#include <cerrno>
#include <filesystem>
#include <new>
#include <system_error>
#include <utility>

#if defined(_WIN32)
#    include <windows.h>
#else
#    include <fcntl.h>
#    include <sys/stat.h>
#    include <unistd.h>
#endif

namespace luup {

#if defined(_WIN32)

bool RegularFile::try_open(Links links) {
    const DWORD  flags = FILE_ATTRIBUTE_NORMAL | (links == Links::Refuse ? FILE_FLAG_OPEN_REPARSE_POINT : 0);
    const HANDLE file =
        CreateFileW(wide_path(path_).c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                    nullptr, OPEN_EXISTING, flags, nullptr);
    if (file == INVALID_HANDLE_VALUE) {
        if (GetLastError() == ERROR_FILE_NOT_FOUND) {
            return false;
        }
        fail_io(path_, "can't be read", system_reason());
    }
    file_                           = reinterpret_cast<intptr_t>(file);
    BY_HANDLE_FILE_INFORMATION info = {};
    if (GetFileType(file) != FILE_TYPE_DISK || !GetFileInformationByHandle(file, &info) ||
        info.dwFileAttributes & (FILE_ATTRIBUTE_REPARSE_POINT | FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_DEVICE)) {
        fail_io(path_, "can't be read", "it is not a regular file");
    }
    size_ = static_cast<uint64_t>(info.nFileSizeHigh) << 32 | info.nFileSizeLow;
    return true;
}

RegularFile::~RegularFile() {
    if (file_ != -1) {
        CloseHandle(reinterpret_cast<HANDLE>(file_));
    }
}

size_t RegularFile::read(void * data, size_t size) {
    size_t total = 0;
    while (total < size) {
        DWORD       n    = 0;
        const DWORD most = static_cast<DWORD>(size - total < (1u << 30) ? size - total : (1u << 30));
        if (!ReadFile(reinterpret_cast<HANDLE>(file_), static_cast<char *>(data) + total, most, &n, nullptr)) {
            fail_io(path_, "can't be read", system_reason());
        }
        if (n == 0) {
            break;
        }
        total += n;
    }
    return total;
}

#else

bool RegularFile::try_open(Links links) {
    const int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (links == Links::Refuse ? O_NOFOLLOW : 0);
    const int fd    = ::open(path_.c_str(), flags);
    if (fd < 0) {
        if (errno == ENOENT) {
            return false;
        }
        const bool link = errno == ELOOP && links == Links::Refuse;
        fail_io(path_, "can't be read", link ? "it is a symbolic link" : system_reason());
    }
    file_            = fd;
    struct stat info = {};
    if (fstat(fd, &info) != 0) {
        fail_io(path_, "can't be read", system_reason());
    }
    if (!S_ISREG(info.st_mode)) {
        fail_io(path_, "can't be read", S_ISDIR(info.st_mode) ? "it is a folder" : "it is not a regular file");
    }
    size_ = static_cast<uint64_t>(info.st_size);
    return true;
}

RegularFile::~RegularFile() {
    if (file_ != -1) {
        ::close(static_cast<int>(file_));
    }
}

size_t RegularFile::read(void * data, size_t size) {
    size_t total = 0;
    while (total < size) {
        const size_t  most = size - total < (1u << 30) ? size - total : (1u << 30);
        const ssize_t n    = ::read(static_cast<int>(file_), static_cast<char *>(data) + total, most);
        if (n < 0 && errno != EINTR) {
            fail_io(path_, "can't be read", system_reason());
        }
        if (n == 0) {
            break;
        }
        total += n > 0 ? static_cast<size_t>(n) : 0;
    }
    return total;
}

#endif

RegularFile::RegularFile(const std::string & path, Links links) : RegularFile(path) {
    if (!try_open(links)) {
        fail_io(path_, "can't be read", system_reason());
    }
}

RegularFile::RegularFile(RegularFile && other) noexcept
    : path_(std::move(other.path_)), file_(std::exchange(other.file_, -1)), size_(other.size_) {}

std::optional<RegularFile> RegularFile::open(const std::string & path, Links links) {
    RegularFile file(path);
    return file.try_open(links) ? std::optional<RegularFile>(std::move(file)) : std::nullopt;
}

std::optional<std::string> read_whole_file(const std::string & path, uint64_t limit) {
    std::optional<RegularFile> file = RegularFile::open(path, RegularFile::Links::Refuse);
    if (!file) {
        return std::nullopt;
    }
    std::string text;
    char        buffer[65536];
    while (const size_t n = file->read(buffer, sizeof(buffer))) {
        text.append(buffer, n);
        if (text.size() > limit) {
            fail_io(path, "can't be read", "it has more than " + std::to_string(limit) + " bytes");
        }
    }
    return text;
}

std::string absolute_path(const std::string & path) {
    std::error_code             ec;
    const std::filesystem::path whole = std::filesystem::absolute(std::filesystem::u8path(path), ec);
    if (ec == std::errc::not_enough_memory) {
        throw std::bad_alloc();
    }
    if (ec) {
        fail_io(path, "can't be found", ec.message());
    }
    return whole.u8string();
}

}  // namespace luup
