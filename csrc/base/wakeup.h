// Wakes a host that waits on a socket or pipe.
#pragma once

#include <cstdint>

namespace luup {

// Writes a byte into a non-blocking socket or pipe (a SOCKET on Windows). A full one is left as it is: it wakes the
// host anyway.
void write_wakeup(intptr_t fd);

}  // namespace luup
