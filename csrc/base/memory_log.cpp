#include "base/memory_log.h"

#include <algorithm>
#include <iterator>

namespace luup {

namespace {

constexpr const char * out_of_memory[] = { "unable to allocate",     "failed to allocate", "insufficient memory",
                                           "Cannot allocate memory", "bad_alloc",          "alloc_tensor_range" };

}  // namespace

bool tells_of_memory(const std::string & log) {
    return std::any_of(std::begin(out_of_memory), std::end(out_of_memory),
                       [&](const char * words) { return log.find(words) != std::string::npos; });
}

}  // namespace luup
