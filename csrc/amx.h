// Whether this machine really runs AMX, the tile instructions of newer Intel CPUs.
#pragma once

#include <string>

namespace luup {

// Empty if AMX tiles of 8-bit integers can be used by this process, else the reason why not. A CPU, a hypervisor or a
// kernel may announce AMX and not grant it, so tiles are multiplied once, in a child process that may die of it.
std::string amx_missing();

// The last step alone: multiplies two tiles in a child process. False if the child dies or computes something else.
bool amx_try_tiles();

}  // namespace luup
