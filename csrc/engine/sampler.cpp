#include "engine/sampler.h"

#include "grammar/constraint.h"
#include "base/error.h"
#include "engine/logits.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

namespace luup {

namespace {

// With a constraint, that many of the likeliest tokens are tried before all allowed ones are listed.
constexpr size_t tried_first = 256;

constexpr size_t most_biases = 4096;

constexpr auto more_likely = [](const auto & a, const auto & b) { return a.logit > b.logit; };

void check_range(const char * name, double value, double low, double high) {
    if (!(value >= low && value <= high)) {  // NaN is out of every range
        fail(LUUP_ERROR_INVALID_PARAM, "%s must be between %g and %g, got %g", name, low, high, value);
    }
}

}  // namespace

void Sampling::check() const {
    check_range("temperature", temperature, 0, 100);
    check_range("top_p", top_p, 0, 1);
    check_range("min_p", min_p, 0, 1);
    check_range("top_k", top_k, 0, INT32_MAX);
    check_range("repeat_penalty", repeat_penalty, 1e-3, 10);
    check_range("repeat_last_n", repeat_last_n, 0, 65536);
    if (max_tokens != -1 && max_tokens < 1) {
        fail(LUUP_ERROR_INVALID_PARAM, "max_tokens must be at least 1, or -1 for no limit, got %d", max_tokens);
    }
    check_range("presence_penalty", presence_penalty, -2, 2);
    check_range("frequency_penalty", frequency_penalty, -2, 2);
    if (logit_bias.size() > most_biases) {
        fail(LUUP_ERROR_INVALID_PARAM, "logit_bias must not have more than %zu tokens, got %zu", most_biases,
             logit_bias.size());
    }
    if (adapters.size() > most_adapters) {
        fail(LUUP_ERROR_INVALID_PARAM, "a run must not use more than %zu adapters, got %zu", most_adapters,
             adapters.size());
    }
    for (const AdapterScale & each : adapters) {
        check_range(("the scale of the adapter \"" + each.name + "\"").c_str(), each.scale, -100, 100);
        const auto named = [&](const AdapterScale & other) { return other.name == each.name; };
        if (std::count_if(adapters.begin(), adapters.end(), named) > 1) {
            fail(LUUP_ERROR_INVALID_PARAM, "the adapter \"%.80s\" is named twice", each.name.c_str());
        }
    }
    for (const LogitBias & each : logit_bias) {
        const std::string name = each.text.empty() ? "logit_bias of token " + std::to_string(each.token)
                                                   : "logit_bias of '" + each.text + "'";
        check_range(name.c_str(), each.bias, -100, 100);
    }
    check_range("top_logprobs", top_logprobs, 0, 20);
    reasoning.check();
    if (stop.size() > 64) {
        fail(LUUP_ERROR_INVALID_PARAM, "stop must not hold more than 64 texts, got %zu", stop.size());
    }
    for (size_t i = 0; i < stop.size(); i++) {
        if (stop[i].empty()) {
            fail(LUUP_ERROR_INVALID_PARAM, "stop[%zu] is empty", i);
        }
    }
}

Sampler::Sampler(const Sampling & sampling, int32_t vocabulary_size)
    : sampling_(sampling),
      n_vocab_(vocabulary_size),
      random_(sampling.seed == LUUP_SEED_RANDOM ? std::random_device{}() : sampling.seed) {}

void Sampler::accept(llama_token token) {
    if (sampling_.repeat_penalty == 1.0f || sampling_.repeat_last_n == 0) {
        return;
    }
    recent_.push_back(token);
    if (recent_.size() > static_cast<size_t>(sampling_.repeat_last_n)) {
        recent_.pop_front();
    }
}

void Sampler::adjust(float * logits) const {
    for (const LogitBias & each : sampling_.logit_bias) {
        logits[each.token] += each.bias;
    }
    for (const auto & [token, count] : counts_) {
        logits[token] -= sampling_.presence_penalty + static_cast<float>(count) * sampling_.frequency_penalty;
    }
}

void Sampler::count(llama_token token) {
    if (sampling_.presence_penalty != 0 || sampling_.frequency_penalty != 0) {
        counts_[token]++;
    }
}

void Sampler::discount(llama_token token) {
    const auto found = counts_.find(token);
    if (found != counts_.end() && --found->second == 0) {
        counts_.erase(found);
    }
}

void Sampler::penalize(float * logits) const {
    if (recent_.empty()) {
        return;
    }
    for (llama_token token : std::unordered_set<llama_token>(recent_.begin(), recent_.end())) {
        float & logit = logits[token];
        logit         = logit <= 0 ? logit * sampling_.repeat_penalty : logit / sampling_.repeat_penalty;
    }
}

llama_token Sampler::likeliest(const float * logits) const {
    const llama_token best = argmax(logits, n_vocab_);
    if (best < 0) {
        fail(LUUP_ERROR_INFERENCE_FAILED, "the model returned no finite logit");
    }
    return best;
}

// Sets candidates_ to the `k` likeliest tokens, the likeliest first.
void Sampler::select(const float * logits, size_t k) {
    candidates_.clear();
    if (k < static_cast<size_t>(n_vocab_)) {
        // A heap of the k best with the worst of them on top.
        float bar = -INFINITY;
        for (int32_t i = 0; i < n_vocab_; i++) {
            if (!(logits[i] > bar)) {
                continue;
            }
            if (candidates_.size() == k) {
                std::pop_heap(candidates_.begin(), candidates_.end(), more_likely);
                candidates_.pop_back();
            }
            candidates_.push_back({ i, logits[i], 0 });
            std::push_heap(candidates_.begin(), candidates_.end(), more_likely);
            if (candidates_.size() == k) {
                bar = candidates_.front().logit;
            }
        }
    } else {
        for (int32_t i = 0; i < n_vocab_; i++) {
            if (logits[i] > -INFINITY) {
                candidates_.push_back({ i, logits[i], 0 });
            }
        }
    }
    std::sort(candidates_.begin(), candidates_.end(), more_likely);
    if (candidates_.empty() || !std::isfinite(candidates_.front().logit)) {
        fail(LUUP_ERROR_INFERENCE_FAILED, "the model returned no finite logit");
    }
}

// Returns the likeliest token that the constraint allows. Mostly it is among the first few.
llama_token Sampler::best_allowed(const float * logits, const Constraint & constraint) {
    const llama_token best = likeliest(logits);
    if (constraint.allows(best)) {
        return best;
    }
    const Constraint::Intent intent = constraint.intent(best);
    select(logits, std::min<size_t>(tried_first, static_cast<size_t>(n_vocab_)));
    for (const Candidate & c : candidates_) {
        if (constraint.allows(c.token) && constraint.suits(intent, c.token)) {
            return c.token;
        }
        const llama_token shorter = constraint.beginning_of(c.token);
        if (shorter != LLAMA_TOKEN_NULL) {
            return shorter;
        }
    }
    constraint.allowed(allowed_);
    if (allowed_.empty()) {
        fail(LUUP_ERROR_INFERENCE_FAILED, "no token of the vocabulary fits the grammar here");
    }
    return *std::max_element(allowed_.begin(), allowed_.end(),
                             [&](llama_token a, llama_token b) { return logits[a] < logits[b]; });
}

// Removes the candidates that are not allowed. Their probability goes to the token with the beginning of their text, if
// that one is allowed.
void Sampler::keep_allowed(const Constraint & constraint) {
    std::vector<Candidate> kept;
    for (const Candidate & c : candidates_) {
        const llama_token token = constraint.allows(c.token) ? c.token : constraint.beginning_of(c.token);
        if (token == LLAMA_TOKEN_NULL) {
            continue;
        }
        const auto same = std::find_if(kept.begin(), kept.end(), [&](const Candidate & k) { return k.token == token; });
        if (same == kept.end()) {
            kept.push_back({ token, c.logit, 0 });
        } else {
            const float high = std::max(same->logit, c.logit), low = std::min(same->logit, c.logit);
            same->logit = high + std::log1p(std::exp(low - high));
        }
    }
    std::sort(kept.begin(), kept.end(), more_likely);
    candidates_.swap(kept);
}

// Sets candidates_ to the top_k likeliest tokens that the constraint allows, the likeliest first.
void Sampler::select_allowed(const float * logits, const Constraint & constraint) {
    const size_t n = static_cast<size_t>(n_vocab_);
    const size_t k = sampling_.top_k > 0 ? std::min(static_cast<size_t>(sampling_.top_k), n) : n;
    if (k <= tried_first / 2) {
        select(logits, std::min(tried_first, n));
        keep_allowed(constraint);
    } else {
        candidates_.clear();
    }
    if (candidates_.size() < k) {
        constraint.allowed(allowed_);
        candidates_.clear();
        for (llama_token token : allowed_) {
            if (logits[token] > -INFINITY) {
                candidates_.push_back({ token, logits[token], 0 });
            }
        }
        std::sort(candidates_.begin(), candidates_.end(), more_likely);
    }
    if (candidates_.empty()) {
        fail(LUUP_ERROR_INFERENCE_FAILED, "no token of the vocabulary fits the grammar here");
    }
    candidates_.resize(std::min(candidates_.size(), k));
}

void Sampler::normalize() {
    const float max = candidates_.front().logit;
    float       sum = 0;
    for (Candidate & c : candidates_) {
        c.p = std::exp(c.logit - max);
        sum += c.p;
    }
    for (Candidate & c : candidates_) {
        c.p /= sum;
    }
}

llama_token Sampler::draw() {
    double rest = random_() / 4294967296.0;
    for (const Candidate & c : candidates_) {
        rest -= c.p;
        if (rest < 0) {
            return c.token;
        }
    }
    return candidates_.back().token;
}

llama_token Sampler::sample(float * logits, const Constraint * constraint) {
    penalize(logits);
    if (sampling_.temperature == 0) {
        return constraint ? best_allowed(logits, *constraint) : likeliest(logits);
    }
    if (constraint) {
        select_allowed(logits, *constraint);
    } else {
        select(logits, sampling_.top_k > 0 ? static_cast<size_t>(std::min(sampling_.top_k, n_vocab_))
                                           : static_cast<size_t>(n_vocab_));
    }
    normalize();
    if (sampling_.top_p < 1) {
        float  sum  = 0;
        size_t keep = 0;
        while (keep < candidates_.size() && (keep == 0 || sum < sampling_.top_p)) {
            sum += candidates_[keep++].p;
        }
        candidates_.resize(keep);
    }
    if (sampling_.min_p > 0) {
        const float bar  = candidates_.front().p * sampling_.min_p;
        size_t      keep = 1;
        while (keep < candidates_.size() && candidates_[keep].p >= bar) {
            keep++;
        }
        candidates_.resize(keep);
    }
    for (Candidate & c : candidates_) {
        c.logit /= sampling_.temperature;
    }
    normalize();
    return draw();
}

}  // namespace luup
