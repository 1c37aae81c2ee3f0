#include "base/unchanged_file.h"

#ifndef _WIN32
#    include <fcntl.h>
#    include <sys/stat.h>
#    include <unistd.h>
#endif

namespace luup {

#ifdef _WIN32

UnchangedFile::UnchangedFile(const std::string &) {}

UnchangedFile::~UnchangedFile() = default;

bool UnchangedFile::stamp(Stamp &) const {
    return false;
}

#else

UnchangedFile::UnchangedFile(const std::string & path) : file_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (file_ >= 0 && file_ <= STDERR_FILENO) {  // a daemon has closed its own, and must not read the model there
        const int low = file_;
        file_         = fcntl(low, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        close(low);
    }
    if (file_ >= 0 && !stamp(first_)) {
        close(file_);
        file_ = -1;
    }
}

UnchangedFile::~UnchangedFile() {
    if (file_ >= 0) {
        close(file_);
    }
}

bool UnchangedFile::stamp(Stamp & now) const {
    struct stat info = {};
    if (fstat(file_, &info) != 0) {
        return false;
    }
#    ifdef __APPLE__
    const struct timespec & changed = info.st_mtimespec;
#    else
    const struct timespec & changed = info.st_mtim;
#    endif
    now.size        = static_cast<uint64_t>(info.st_size);
    now.seconds     = static_cast<int64_t>(changed.tv_sec);
    now.nanoseconds = static_cast<int64_t>(changed.tv_nsec);
    return true;
}

#endif

bool UnchangedFile::is_unchanged() const {
    Stamp now;
    if (file_ >= 0 && stamp(now) &&
        (now.size != first_.size || now.seconds != first_.seconds || now.nanoseconds != first_.nanoseconds)) {
        changed_.store(true);
    }
    return !changed_.load();
}

}  // namespace luup
