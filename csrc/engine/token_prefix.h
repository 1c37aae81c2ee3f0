// Prefixes of token sequences.
#pragma once

#include "llama.h"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace luup {

// Returns how many tokens both begin with.
inline size_t common_prefix(const std::vector<llama_token> & a, const std::vector<llama_token> & b) {
    const auto n = static_cast<std::ptrdiff_t>(std::min(a.size(), b.size()));
    return static_cast<size_t>(std::mismatch(a.begin(), a.begin() + n, b.begin()).first - a.begin());
}

}  // namespace luup
