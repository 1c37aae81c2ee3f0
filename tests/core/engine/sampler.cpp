// Sampling against the definitions of its options.
#include "check.h"
#include "base/error.h"
#include "engine/sampler.h"

#include <cmath>
#include <map>
#include <vector>

using namespace luup;

CASE(greedy_takes_the_first_of_the_best) {
    Sampling greedy;
    greedy.temperature = 0;
    for (int n : { 1, 15, 16, 17, 255, 256, 257, 1000 }) {
        for (int at = 0; at < n; at += 7) {
            std::vector<float> logits(n, -3.0f);
            logits[at] = 2.5f;
            CHECK(Sampler(greedy, n).sample(logits.data()) == at);
            logits[n - 1] = 2.5f;
            CHECK(Sampler(greedy, n).sample(logits.data()) == at);
        }
    }
    std::vector<float> bad(300, NAN);
    bool               refused = false;
    try {
        Sampler(greedy, 300).sample(bad.data());
    } catch (const Error & e) {
        refused = e.code() == LUUP_ERROR_INFERENCE_FAILED;
    }
    CHECK(refused);
}

// Draws often and compares with the probabilities that the definition gives.
CASE(sampling_follows_the_distribution) {
    const std::vector<float> row = { 1.0f, 2.0f, 0.0f, 3.0f, -1.0f };
    struct Case {
        float            temperature, top_p, min_p;
        int              top_k;
        std::vector<int> possible;
    };
    const std::vector<Case> cases = {
        { 1.0f, 1.0f, 0.0f, 0, { 0, 1, 2, 3, 4 } },
        { 1.0f, 1.0f, 0.0f, 2, { 1, 3 } },
        { 1.0f, 0.6f, 0.0f, 0, { 3 } },            // 3 alone has 0.64
        { 1.0f, 0.7f, 0.0f, 0, { 1, 3 } },
        { 1.0f, 1.0f, 0.2f, 0, { 1, 3 } },         // e^-1 = 0.37 of the best, e^-2 = 0.14
        { 0.5f, 1.0f, 0.0f, 3, { 0, 1, 3 } },
    };
    for (const Case & c : cases) {
        Sampling s;
        s.temperature = c.temperature;
        s.top_p       = c.top_p;
        s.min_p       = c.min_p;
        s.top_k       = c.top_k;
        s.seed        = 42;
        Sampler            sampler(s, static_cast<int>(row.size()));
        std::map<int, int> counts;
        const int          draws = 20000;
        for (int i = 0; i < draws; i++) {
            std::vector<float> logits = row;
            counts[sampler.sample(logits.data())]++;
        }
        double sum = 0;
        for (int t : c.possible) {
            sum += std::exp(row[t] / c.temperature);
        }
        int total = 0;
        for (int t : c.possible) {
            CHECK(std::fabs(counts[t] / double(draws) - std::exp(row[t] / c.temperature) / sum) < 0.015);
            total += counts[t];
        }
        CHECK(total == draws);
    }
}

CASE(penalty_makes_repeated_tokens_less_likely) {
    Sampling s;
    s.temperature    = 0;
    s.repeat_penalty = 2.0f;
    s.repeat_last_n  = 2;
    Sampler sampler(s, 3);
    sampler.accept(0);
    std::vector<float> logits = { 3.0f, 2.0f, -1.0f };
    CHECK(sampler.sample(logits.data()) == 1);
    CHECK(logits[0] == 1.5f);
    sampler.accept(1);
    sampler.accept(1);  // 0 is out of the window now
    logits = { 3.0f, 2.0f, -1.0f };
    CHECK(sampler.sample(logits.data()) == 0);
}

CASE(penalties_and_biases_are_taken_from_the_logits) {
    Sampling s;
    s.temperature       = 0;
    s.presence_penalty  = 0.5f;
    s.frequency_penalty = 0.25f;
    s.logit_bias        = { { 2, "", -100 }, { 3, "", 1.5f } };
    Sampler sampler(s, 5);
    for (const llama_token token : { 0, 1, 1, 1, 4 }) {
        sampler.count(token);
    }
    sampler.discount(4);  // it was retracted
    sampler.discount(1);
    std::vector<float> logits = { 3, 3, 3, 3, 3 };
    sampler.adjust(logits.data());
    CHECK((logits == std::vector<float>{ 2.25f, 2.0f, -97.0f, 4.5f, 3.0f }));
    CHECK(sampler.sample(logits.data()) == 3);
}

CASE(a_prompt_is_not_penalized) {
    Sampling s;
    s.presence_penalty = 2;
    Sampler sampler(s, 2);
    sampler.accept(0);
    std::vector<float> logits = { 1, 2 };
    sampler.adjust(logits.data());
    CHECK((logits == std::vector<float>{ 1, 2 }));
}
