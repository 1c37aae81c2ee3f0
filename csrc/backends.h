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

// Loads everything once. Throws Error(LUUP_ERROR_BACKEND_INIT_FAILED), also on every later call, if no CPU variant runs here.
const CpuVariant & load_backends();

// A file that was loaded, or refused.
struct Backend {
    std::string        name;
    std::string        path;
    std::string        reason;  // why it was refused; empty if it was loaded
    ggml_backend_reg_t registration = nullptr;
};

// A further folder of backends, of a package of version `version`. Throws Error if that is another one, or if it is too late.
void add_backends(const std::string & folder, const std::string & version);

// All of them. Only after load_backends().
const std::vector<Backend> & backends();

// The one that reaches other machines' devices. It has none by itself, and is not among the others. Only after load_backends().
const Backend & rpc_backend();

// How often a server of it has failed to answer, in all of this process.
uint64_t rpc_losses();

// "; " and a sentence for each one that was refused, to be told when a GPU is missing. Only after load_backends().
std::string backends_refused();

// The CPU device. Only after load_backends().
ggml_backend_dev_t cpu_device();

// The processors that this process may use: affinity and cgroup limits count, and above four of them hyper-threads don't.
int usable_threads();

}  // namespace luup
