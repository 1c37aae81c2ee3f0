// The length of vectors.
#pragma once

#include <cstddef>

namespace luup {

// Scales a vector to the length 1; one of zeros stays.
void normalize(float * vector, size_t n);

}  // namespace luup
