#include "embed/normalize.h"

#include <cmath>

namespace luup {

void normalize(float * vector, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += static_cast<double>(vector[i]) * vector[i];
    }
    if (sum > 0) {
        const double scale = 1 / std::sqrt(sum);
        for (size_t i = 0; i < n; i++) {
            vector[i] = static_cast<float>(vector[i] * scale);
        }
    }
}

}  // namespace luup
