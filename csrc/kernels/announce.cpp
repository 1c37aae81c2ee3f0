// Makes the kernels known to ggml's CPU backend while its module is being loaded. Compiled for every CPU, unlike the rest: a module is loaded
// on a CPU that can't run it too, just to be asked how well it fits. Behind AMX, and before ggml's own layouts for vectors.
#include "interleaved.h"

#include "ggml-backend-impl.h"
#include "traits.h"

#include <algorithm>
#include <cstring>

extern "C" int ggml_backend_score(void);

#if defined(__ELF__)
// A module that was only asked for its score is closed again. Not every toolchain (zig's does not) ends then what it has begun, and exit() would call
// destructors that are gone; where it does, this comes second and finds nothing to do.
extern "C" void                                         __cxa_finalize(void * module);
extern "C" __attribute__((visibility("hidden"))) void * __dso_handle;

__attribute__((destructor)) static void end_all_that_was_begun() {
    __cxa_finalize(&__dso_handle);
}
#endif

namespace {

const bool announced = [] {
    if (ggml_backend_score() == 0) {
        return false;
    }
    auto & types = ggml_backend_cpu_get_extra_buffer_types();  // the first that can take a model's weights gets them
    auto   place = std::find_if(types.begin(), types.end(), [](auto type) { return std::strcmp(ggml_backend_buft_name(type), "CPU_REPACK") == 0; });
    types.insert(place, luup::kernels::interleaved_buffer_type());
    return true;
}();

}  // namespace
