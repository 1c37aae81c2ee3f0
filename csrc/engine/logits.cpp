#include "engine/logits.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

namespace luup {

namespace {

constexpr int32_t lanes       = 16;
constexpr int32_t block       = 256;
constexpr int32_t small_block = 64;  // of which TopLogits knows the largest logit

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

double log_sum_exp(const float * logits, int32_t n, float scale) {
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
            terms[k] = exponential((logits[i + k] - max) * scale);
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
    return static_cast<double>(max) * scale + std::log(sum);
}

// At least k logits are not below the k-th largest of the blocks' largest logits. There are few more of them, and they
// are in few blocks: all others are read only once, in vectors.
const std::vector<RankedLogit> & TopLogits::find(const float * logits, int32_t n, size_t k) {
    found_.clear();
    tops_.clear();
    for (int32_t i = 0; i < n; i += small_block) {
        tops_.push_back(largest(logits + i, std::min(small_block, n - i)));
    }
    float bar = -INFINITY;
    if (k > 0 && k <= tops_.size()) {
        ranked_        = tops_;
        const auto kth = ranked_.begin() + static_cast<std::ptrdiff_t>(k) - 1;
        std::nth_element(ranked_.begin(), kth, ranked_.end(), std::greater<>());
        bar = *kth;
    }
    for (size_t b = 0; b < tops_.size(); b++) {
        const int32_t begin = static_cast<int32_t>(b) * small_block;
        const int32_t end   = std::min(begin + small_block, n);
        for (int32_t i = begin; tops_[b] >= bar && i < end; i++) {
            if (logits[i] >= bar && logits[i] > -INFINITY) {
                found_.push_back({ i, logits[i] });
            }
        }
    }
    const auto before = [](const RankedLogit & a, const RankedLogit & b) {
        return a.logit > b.logit || (a.logit == b.logit && a.index < b.index);
    };
    if (found_.size() > k) {
        std::nth_element(found_.begin(), found_.begin() + static_cast<std::ptrdiff_t>(k), found_.end(), before);
        found_.resize(k);
    }
    std::sort(found_.begin(), found_.end(), before);
    return found_;
}

}  // namespace luup
