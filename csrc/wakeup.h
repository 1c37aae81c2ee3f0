// A byte that tells a waiting program to look again.
#pragma once

#include <cstdint>

namespace luup {

// Writes a byte into a non-blocking socket or pipe (a SOCKET on Windows); if it is full, a byte is waiting there already.
void write_wakeup(intptr_t fd);

}  // namespace luup
