// The probabilities of tokens against the definition of the softmax.
#include "engine/token_probabilities.h"

#include "check.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

using namespace luup;

CASE(probabilities_are_those_of_the_full_softmax) {
    std::mt19937             random(3);
    std::vector<llama_token> scratch;
    for (int n : { 1, 2, 17, 1000 }) {
        std::vector<float> row(static_cast<size_t>(n));
        for (float & logit : row) {
            logit = static_cast<float>(random() % 2000) / 100 - 10;
        }
        double sum = 0;
        for (const float logit : row) {
            sum += std::exp(static_cast<double>(logit));
        }
        const llama_token token  = static_cast<llama_token>(random() % static_cast<unsigned>(n));
        const auto        result = token_probabilities(row, token, 20, scratch);
        CHECK(result.token == token && result.top.size() == static_cast<size_t>(std::min(n, 20)));
        CHECK(std::fabs(result.logprob - (row[static_cast<size_t>(token)] - std::log(sum))) < 1e-4);
        std::vector<float> sorted = row;
        std::sort(sorted.rbegin(), sorted.rend());
        for (size_t i = 0; i < result.top.size(); i++) {
            const auto [other, logprob] = result.top[i];
            CHECK(row[static_cast<size_t>(other)] == sorted[i]);
            CHECK(std::fabs(logprob - (sorted[i] - std::log(sum))) < 1e-4);
            CHECK(i == 0 || sorted[i] < sorted[i - 1] || result.top[i - 1].first < other);
        }
    }
    CHECK(token_probabilities({ 1, 2, 3 }, 1, 0, scratch).top.empty());
    CHECK(token_probabilities({ 1, -INFINITY }, 1, 2, scratch).logprob == -9999);
}
