// Sampling from all tokens, which sorts only a few of them, against the definition, which sorts all.
#include "check.h"
#include "engine/logits.h"
#include "engine/sampler.h"
#include "grammar/constraint.h"
#include "grammar/grammar.h"
#include "tokens/vocabulary.h"
#include "vocabulary.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

using namespace luup;

namespace {

std::vector<RankedLogit> sorted(const std::vector<float> & logits) {
    std::vector<RankedLogit> all;
    for (size_t i = 0; i < logits.size(); i++) {
        if (logits[i] > -INFINITY) {
            all.push_back({ static_cast<int32_t>(i), logits[i] });
        }
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const RankedLogit & a, const RankedLogit & b) { return a.logit > b.logit; });
    return all;
}

// What llama.cpp's samplers do one after the other: top-k, top-p, min-p, temperature, and a draw.
llama_token by_definition(const std::vector<float> & logits, const Sampling & s, double share) {
    std::vector<RankedLogit> kept = sorted(logits);
    if (s.top_k > 0 && kept.size() > static_cast<size_t>(s.top_k)) {
        kept.resize(static_cast<size_t>(s.top_k));
    }
    const auto weights = [&](double temperature) {
        std::vector<double> p;
        for (const RankedLogit & each : kept) {
            p.push_back(std::exp((static_cast<double>(each.logit) - kept.front().logit) / temperature));
        }
        const double sum = std::accumulate(p.begin(), p.end(), 0.0);
        for (double & each : p) {
            each /= sum;
        }
        return p;
    };
    std::vector<double> p    = weights(1);
    size_t              keep = 0;
    for (double sum = 0; keep < kept.size() && (keep == 0 || s.top_p == 1 || sum < s.top_p); keep++) {
        sum += p[keep];
    }
    while (keep > 1 && p[keep - 1] < p[0] * s.min_p) {
        keep--;
    }
    kept.resize(keep);
    p = weights(s.temperature);
    for (size_t i = 0; i < kept.size(); i++) {
        share -= p[i];
        if (share < 0) {
            return kept[i].index;
        }
    }
    return kept.back().index;
}

std::vector<float> random_row(std::mt19937 & random, size_t n, float spread) {
    std::normal_distribution<float> near(2.0f, spread);
    std::vector<float>              row(n);
    for (float & logit : row) {
        logit = near(random);
    }
    return row;
}

// Rows from nearly flat ones, where the likeliest 256 tokens hardly count, to those with one likely token.
template <typename Check> void for_each_setting(size_t n, Check check) {
    std::mt19937 random(7);
    for (float spread : { 0.01f, 1.0f, 3.0f, 12.0f }) {
        for (float temperature : { 0.3f, 1.0f, 2.5f }) {
            for (float top_p : { 1.0f, 0.95f, 0.3f, 0.0f }) {
                for (float min_p : { 0.0f, 0.05f, 0.9f }) {
                    for (int top_k : { 0, 300 }) {
                        Sampling s;
                        s.temperature = temperature;
                        s.top_p       = top_p;
                        s.min_p       = min_p;
                        s.top_k       = top_k;
                        s.seed        = static_cast<uint32_t>(random());
                        check(s, random_row(random, n, spread));
                    }
                }
            }
        }
    }
}

}  // namespace

CASE(the_top_logits_are_the_first_of_all_sorted) {
    std::mt19937 random(3);
    TopLogits    top;
    for (int n : { 1, 63, 64, 65, 1000, 20000 }) {
        for (int values : { 2, 5, 1000000 }) {  // with many equal ones, and without
            std::vector<float> logits(static_cast<size_t>(n));
            for (float & logit : logits) {
                logit = static_cast<float>(random() % static_cast<uint32_t>(values)) - 2;
            }
            for (int i = 0; i < n; i += 3) {
                logits[static_cast<size_t>(random() % static_cast<uint32_t>(n))] = i % 2 ? -INFINITY : NAN;
            }
            for (size_t k : { 1, 2, 40, 256, 19999, 20000, 30000 }) {
                const auto all   = sorted(logits);
                const auto found = top.find(logits.data(), n, k);
                CHECK(found.size() == std::min(k, all.size()));
                for (size_t i = 0; i < found.size(); i++) {
                    CHECK(found[i].index == all[i].index && found[i].logit == all[i].logit);
                }
            }
        }
    }
}

CASE(free_text_is_sampled_by_the_definition) {
    for_each_setting(5000, [](const Sampling & s, const std::vector<float> & row) {
        Sampler      sampler(s, static_cast<int32_t>(row.size()));
        std::mt19937 random(s.seed);
        for (int i = 0; i < 4; i++) {
            std::vector<float> logits = row;
            CHECK(sampler.sample(logits.data()) == by_definition(row, s, random() / 4294967296.0));
        }
    });
}

CASE(bound_text_is_sampled_by_the_definition) {
    const auto vocabulary = std::make_shared<const Vocabulary>(vocab());
    const auto n          = static_cast<size_t>(llama_vocab_n_tokens(vocab()));
    // All allow some tokens only: few, most of those of a string, and about half.
    for (const char * grammar :
         { "root ::= [0-9]+", "root ::= \"\\\"\" [^\"\\\\\\x00-\\x1F]* \"\\\"\"", "root ::= [ a-z]* [A-Z]" }) {
        Constraint constraint(vocabulary, Grammar::parse(grammar, vocab()), {}, nullptr);
        constraint.accept_text(grammar[9] == '[' ? "" : "\"a");
        std::vector<llama_token> allowed;
        constraint.allowed(allowed);
        size_t settings = 0;
        for_each_setting(n, [&](const Sampling & s, const std::vector<float> & row) {
            if (settings++ % 5 != 0) {
                return;
            }
            std::vector<float> possible(n, -INFINITY);
            for (llama_token token : allowed) {
                possible[static_cast<size_t>(token)] = row[static_cast<size_t>(token)];
            }
            Sampler            sampler(s, static_cast<int32_t>(n));
            std::mt19937       random(s.seed);
            std::vector<float> logits = row;
            CHECK(sampler.sample(logits.data(), &constraint) == by_definition(possible, s, random() / 4294967296.0));
        });
    }
}

CASE(a_temperature_near_zero_takes_the_likeliest) {
    for (float temperature : { 1e-6f, 1e-30f, 1e-42f }) {
        for (int top_k : { 0, 3 }) {
            Sampling s;
            s.temperature = temperature;
            s.top_k       = top_k;
            s.top_p       = 1;
            s.min_p       = 0;
            for (uint32_t seed = 0; seed < 20; seed++) {
                s.seed                    = seed;
                std::vector<float> logits = { 1, 3, -2, 2.9f };
                CHECK(Sampler(s, 4).sample(logits.data()) == 1);
            }
        }
    }
}
