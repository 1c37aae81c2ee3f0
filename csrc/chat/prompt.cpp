#include "chat/prompt.h"

#include <algorithm>

namespace luup {

bool leaves_thoughts_open(const std::string & prompt, const Thinking & thinking) {
    constexpr size_t last  = 200;  // bytes; open thoughts start at the very end of a prompt
    const size_t     start = thinking.start.empty() ? std::string::npos : prompt.rfind(thinking.start);
    if (start == std::string::npos || start + thinking.start.size() + last < prompt.size()) {
        return false;
    }
    return std::none_of(thinking.ends.begin(), thinking.ends.end(),
                        [&](const std::string & end) { return prompt.find(end, start) != std::string::npos; });
}

}  // namespace luup
