// Sums over logits.
#include "check.h"
#include "engine/logits.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

using namespace luup;

CASE(log_sum_exp_is_exact_enough) {
    std::mt19937 random(1);
    for (int n : { 1, 15, 16, 255, 256, 257, 1000 }) {
        for (float spread : { 0.0f, 1.0f, 10.0f, 100.0f }) {
            std::normal_distribution<float> near(5.0f, spread + 1e-6f);
            std::vector<float>              logits(n);
            for (float & logit : logits) {
                logit = near(random);
            }
            logits[n / 2] = n > 1 ? -INFINITY : logits[0];
            double max = -INFINITY, sum = 0;
            for (float logit : logits) {
                max = std::max<double>(max, logit);
            }
            for (float logit : logits) {
                sum += std::exp(logit - max);
            }
            CHECK(std::fabs(log_sum_exp(logits.data(), n) - (max + std::log(sum))) < 1e-6);
        }
    }
    const std::vector<float> none(20, -INFINITY);
    CHECK(log_sum_exp(none.data(), 20) == -INFINITY);
}
