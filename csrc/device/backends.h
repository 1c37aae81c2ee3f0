// Loads ggml's CPU variant and GPU backends, from the folder of this library only, and describes the devices.
#pragma once

#include "luup_agent.h"

#include "ggml-backend.h"

#include <string>
#include <vector>

namespace luup {

struct CpuVariant {
    std::string name;
    std::string path;
    std::string reason;
};

// Loads all backends on the first call. Throws Error(LUUP_ERROR_BACKEND_INIT_FAILED), also on every later call, if this
// machine can run no CPU variant.
const CpuVariant & load_backends();

// The file of a backend, loaded or refused.
struct Backend {
    std::string        name;
    std::string        path;
    std::string        reason;  // why it was refused; empty if it was loaded
    ggml_backend_reg_t registration = nullptr;
};

// Adds a folder of backends, from a package of version `version`. Throws Error if that is not this library's version,
// or if the backends are loaded already.
void add_backends(const std::string & folder, const std::string & version);

// Returns all backends, loaded and refused. Only after load_backends().
const std::vector<Backend> & backends();

// Returns the backend for devices of other machines. It has no devices of its own and is not in backends(). Only after
// load_backends().
const Backend & rpc_backend();

// Returns how many requests of this process its servers did not answer.
uint64_t rpc_losses();

// Returns "; " and a reason for each backend that was refused, for the error about a missing GPU. Only after
// load_backends().
std::string backends_refused();

// Returns the CPU device. Only after load_backends().
ggml_backend_dev_t cpu_device();

// Returns the number of processors that this process may use, within its affinity and cgroup limits. If there are more
// than four, hyper-threads of the same core count once.
int usable_threads();

}  // namespace luup
