// Arithmetic on a row of logits. Written so that the compiler keeps it in vector registers: plain loops over a large
// vocabulary cost as much as a layer of a small model.
#pragma once

#include <cstdint>

namespace luup {

// Returns the index of the largest logit, the first of equals; -1 if it is not finite.
int32_t argmax(const float * logits, int32_t n);

// Returns the logarithm of the sum of the logits' exponentials: a logit less this is a log-probability. Accurate to
// about 1e-6.
double log_sum_exp(const float * logits, int32_t n);

}  // namespace luup
