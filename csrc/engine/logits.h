// Arithmetic on a row of logits. Written so that the compiler keeps it in vector registers: plain loops over a large
// vocabulary cost as much as a layer of a small model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace luup {

// Returns the index of the largest logit, the first of equals; -1 if it is not finite.
int32_t argmax(const float * logits, int32_t n);

// Returns the logarithm of the sum of the exponentials of `scale` times the logits: a logit less this is a
// log-probability. Accurate to about 1e-6.
double log_sum_exp(const float * logits, int32_t n, float scale = 1);

struct RankedLogit {
    int32_t index;
    float   logit;
};

// Finds the largest logits of a row.
class TopLogits {
  public:
    // Returns the `k` largest logits, the largest first, and of equals the one with the smaller index. Fewer if fewer
    // are more than -INFINITY. Valid until the next call.
    const std::vector<RankedLogit> & find(const float * logits, int32_t n, size_t k);

  private:
    std::vector<RankedLogit> found_;  // kept for their memory
    std::vector<float>       tops_, ranked_;
};

}  // namespace luup
