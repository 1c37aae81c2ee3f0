#include "engine/logits.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace luup {

namespace {

constexpr int32_t lanes = 16;
constexpr int32_t block = 256;

// Returns the largest of `n` values.
float largest(const float * values, int32_t n) {
    float top[lanes];
    std::fill(top, top + lanes, -INFINITY);
    int32_t k = 0;
    for (; k + lanes <= n; k += lanes) {
        for (int32_t lane = 0; lane < lanes; lane++) {
            top[lane] = values[k + lane] > top[lane] ? values[k + lane] : top[lane];
        }
    }
    for (; k < n; k++) {
        top[0] = values[k] > top[0] ? values[k] : top[0];
    }
    return *std::max_element(top, top + lanes);
}

// Returns e^x for x <= 0, but no less than e^-80: 2^(whole part) by the exponent bits, the rest by a Taylor polynomial.
inline float exponential(float x) {
    const float   y     = (x > -80.0f ? x : -80.0f) * 1.44269504f;
    const int32_t whole = static_cast<int32_t>(y - 0.5f);  // the nearest, since y is not positive
    const float   f     = (y - static_cast<float>(whole)) * 0.693147181f;
    const float   series =
        1 + f * (1 + f * (0.5f + f * (0.166666667f + f * (0.0416666667f + f * (0.00833333333f + f * 0.00138888889f)))));
    const int32_t exponent = (whole + 127) * (1 << 23);
    float         power;
    std::memcpy(&power, &exponent, sizeof(power));
    return series * power;
}

}  // namespace

int32_t argmax(const float * logits, int32_t n) {
    float   best  = -INFINITY;
    int32_t start = -1;
    for (int32_t i = 0; i < n; i += block) {
        const float top = largest(logits + i, std::min(block, n - i));
        if (top > best) {
            best  = top;
            start = i;
        }
    }
    if (start < 0 || !std::isfinite(best)) {
        return -1;
    }
    while (logits[start] != best) {
        start++;
    }
    return start;
}

double log_sum_exp(const float * logits, int32_t n) {
    const int32_t first = argmax(logits, n);
    if (first < 0) {
        return -INFINITY;
    }
    const float max = logits[first];
    double      sum = 0;
    float       terms[block];
    for (int32_t i = 0; i < n; i += block) {
        const int32_t size = std::min(block, n - i);
        for (int32_t k = 0; k < size; k++) {
            terms[k] = exponential(logits[i + k] - max);
        }
        std::fill(terms + size, terms + block, 0.0f);
        float part[lanes] = {};
        for (int32_t k = 0; k < block; k += lanes) {
            for (int32_t lane = 0; lane < lanes; lane++) {
                part[lane] += terms[k + lane];
            }
        }
        for (float p : part) {
            sum += p;
        }
    }
    return max + std::log(sum);
}

}  // namespace luup
