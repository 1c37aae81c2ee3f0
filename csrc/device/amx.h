// Checks whether this machine can really run AMX, the tile instructions of newer Intel CPUs.
#pragma once

#include <string>

namespace luup {

// Returns why this process cannot use AMX tiles of 8-bit integers; empty if it can. A CPU, a hypervisor or a kernel may
// announce AMX and then refuse it, so a child process, which may crash, multiplies tiles once.
std::string amx_missing();

// Only the last step: multiplies two tiles in a child process. Returns false if it crashes or the product is wrong.
bool amx_try_tiles();

}  // namespace luup
