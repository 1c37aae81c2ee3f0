#include "base/wakeup.h"

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

}  // namespace luup
