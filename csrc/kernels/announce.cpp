// Registers the kernels with ggml's CPU backend when its module is loaded: after AMX, and before ggml's own layouts for
// vectors. Unlike the kernels, this file is compiled for every CPU, since a module is also loaded on CPUs that cannot
// run it, to get its score.
#include "interleaved.h"

#include "ggml-backend-impl.h"
#include "traits.h"

#include <algorithm>
#include <cstring>

extern "C" int ggml_backend_score(void);

// The patched ggml-cpu.c defines it and calls it for each node of a graph.
extern "C" int (*luup_compute_together)(const ggml_compute_params *, const ggml_cgraph *, int);

#if defined(__ELF__)
// A module that was only loaded for its score is closed again. Some toolchains (zig's is one) do not run its
// destructors then, and exit() would call functions that are no longer in memory. With others, this runs second and
// does nothing.
extern "C" void                                         __cxa_finalize(void * module);
extern "C" __attribute__((visibility("hidden"))) void * __dso_handle;

__attribute__((destructor)) static void run_destructors() {
    __cxa_finalize(&__dso_handle);
}
#endif

namespace {

const bool announced = [] {
    if (ggml_backend_score() == 0) {
        return false;
    }
    auto & types = ggml_backend_cpu_get_extra_buffer_types();  // the first that supports a weight gets it
    auto   place = std::find_if(types.begin(), types.end(),
                                [](auto type) { return std::strcmp(ggml_backend_buft_name(type), "CPU_REPACK") == 0; });
    types.insert(place, luup::kernels::interleaved_buffer_type());
    luup_compute_together = luup::kernels::multiply_together;
    return true;
}();

}  // namespace
