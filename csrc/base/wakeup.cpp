#include "base/wakeup.h"

#include <algorithm>
#include <cerrno>

#if defined(_WIN32)
#    include <winsock2.h>
#else
#    include <sys/socket.h>
#    include <unistd.h>
#endif

namespace luup {

void write_wakeup(intptr_t fd) {
    const char byte = 1;
#if defined(_WIN32)
    send(static_cast<SOCKET>(fd), &byte, 1, 0);
#else
#    if defined(MSG_NOSIGNAL)
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
#    else
    const int flags = MSG_DONTWAIT;
#    endif
    if (send(static_cast<int>(fd), &byte, 1, flags) < 0 && errno == ENOTSOCK) {
        const ssize_t written = write(static_cast<int>(fd), &byte, 1);
        (void) written;
    }
#endif
}

void Waker::close() {
    std::lock_guard<std::mutex> lock(mutex_);
    fd_ = -1;
}

void Waker::signal(uint64_t tag, bool can_wait) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (known_.insert(tag).second) {
        ready_.push_back(tag);
    }
    if (fd_ >= 0 && !written_ && !(can_wait && looks_)) {
        written_ = true;
        write_wakeup(fd_);
    }
}

size_t Waker::take(uint64_t * tags, size_t capacity) {
    std::lock_guard<std::mutex> lock(mutex_);
    const size_t                n   = std::min(capacity, ready_.size());
    const auto                  end = ready_.begin() + static_cast<std::ptrdiff_t>(n);
    std::copy(ready_.begin(), end, tags);
    ready_.erase(ready_.begin(), end);
    for (size_t i = 0; i < n; i++) {
        known_.erase(tags[i]);
    }
    written_ = false;
    looks_   = n > 0;
    return n;
}

}  // namespace luup
