// Tries something that may crash, hang or eat memory, in a child process that pays for it.
#pragma once

#include <cstddef>
#include <functional>

namespace luup {

// True if `task`, run in a forked child, returns true within `seconds` and `memory` more bytes than this process has. False if it returns
// false, throws, dies or takes too long. Where processes can't fork (Windows), false for `otherwise` false, else true, untried.
bool try_in_child(const std::function<bool()> & task, double seconds, size_t memory, bool otherwise);

}  // namespace luup
