// Whether AMX can be used.
#include "check.h"
#include "device/amx.h"

#include <string>

using namespace luup;

// On a machine without AMX the tiles' first instruction is illegal: the child dies of it, this process does not.
CASE(amx_is_tried_where_it_can_do_no_harm) {
    const bool        works   = amx_try_tiles();
    const std::string missing = amx_missing();
    CHECK(works || !missing.empty());
    std::printf("  AMX: %s\n", missing.empty() ? "works" : missing.c_str());
}
