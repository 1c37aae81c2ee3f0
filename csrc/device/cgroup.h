// Memory and processors that are left to this process within the limits of control groups (containers) and ulimit.
#pragma once

#include <cstdint>
#include <string>

namespace luup {

// Where the kernel shows the processes' groups and the groups' files. Another root is for tests.
struct CgroupFiles {
    std::string self  = "/proc/self/cgroup";
    std::string mount = "/sys/fs/cgroup";
};

// Return the number of processors that this process's groups grant, rounded up: the least of all the groups that it is
// in, one inside of another. 0: no limit, or not Linux.
int cgroup_processors(const CgroupFiles & files = {});

// Return the bytes that the groups' memory limits leave, with what the kernel's file cache can give back; UINT64_MAX
// without a limit, or not on Linux.
uint64_t cgroup_memory_left(const CgroupFiles & files = {});

// Return how much more memory this process may use: the least of what the machine, its groups and its own address space
// (ulimit -v) leave. 0: unknown.
uint64_t available_memory();

}  // namespace luup
