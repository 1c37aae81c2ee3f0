// Loads ggml's CPU variant and GPU backends, from the folder of this library only, and describes the devices.
#pragma once

#include "luup_agent.h"

#include "ggml-backend.h"

#include <string>

namespace luup {

struct CpuVariant {
    std::string name;
    std::string path;
    std::string reason;
};

// Loads everything once. Throws Error(LUUP_ERROR_BACKEND_INIT_FAILED), also on every later call, if no CPU variant runs here.
const CpuVariant & load_backends();

// The first device of a discrete or integrated GPU, or nullptr.
ggml_backend_dev_t find_gpu();

// The CPU device. Only after load_backends().
ggml_backend_dev_t cpu_device();

// The processors that this process may use: affinity and cgroup limits count, and above four of them hyper-threads don't.
int usable_threads();

}  // namespace luup
