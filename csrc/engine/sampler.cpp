#include "engine/sampler.h"

#include "grammar/constraint.h"
#include "base/error.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

namespace luup {

namespace {

// With a constraint, that many of the likeliest tokens are tried before all allowed ones are listed.
constexpr size_t tried_first = 256;

// Without top_k, that many of the likeliest tokens are sorted at first.
constexpr size_t ranked_first = 256;
// If a constraint refuses too many of that many, all that it allows are listed.
constexpr size_t ranked_most = 8 * ranked_first;
// A temperature at which logits become infinite when they are divided by it. Long before, only the likeliest counts.
constexpr float coldest = 1e-6f;

// More than the error of a sum of probabilities.
constexpr double rounding = 1e-5;

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

// Sets candidates_ to the `k` likeliest of the tokens whose logits are in `row`, the likeliest first. `tokens` has
// their numbers unless the row is that of the whole vocabulary.
void Sampler::rank(const float * row, size_t n, size_t k, const std::vector<llama_token> * tokens) {
    candidates_.clear();
    for (const RankedLogit & each : top_.find(row, static_cast<int32_t>(n), k)) {
        candidates_.push_back({ tokens ? (*tokens)[static_cast<size_t>(each.index)] : each.index, each.logit, 0 });
    }
    if (candidates_.empty() && tokens) {
        fail(LUUP_ERROR_INFERENCE_FAILED, "no token of the vocabulary fits the grammar here");
    }
    if (candidates_.empty() || !std::isfinite(candidates_.front().logit)) {
        fail(LUUP_ERROR_INFERENCE_FAILED, "the model returned no finite logit");
    }
}

// Sets candidates_ to the `k` likeliest tokens, the likeliest first.
void Sampler::select(const float * logits, size_t k) {
    rank(logits, static_cast<size_t>(n_vocab_), k, nullptr);
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
    bool                   replaced = false;  // whether a token may be there twice
    for (const Candidate & c : candidates_) {
        const bool        allowed = constraint.allows(c.token);
        const llama_token token   = allowed ? c.token : constraint.beginning_of(c.token);
        if (token == LLAMA_TOKEN_NULL) {
            continue;
        }
        replaced = replaced || !allowed;
        const auto same =
            replaced ? std::find_if(kept.begin(), kept.end(), [&](const Candidate & k) { return k.token == token; })
                     : kept.end();
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

// Sets allowed_ to all tokens that the constraint allows, and row_ to their logits.
void Sampler::list_allowed(const float * logits, const Constraint & constraint) {
    constraint.allowed(allowed_);
    row_.resize(allowed_.size());
    for (size_t i = 0; i < allowed_.size(); i++) {
        row_[i] = logits[allowed_[i]];
    }
}

// Sets candidates_ to the `k` likeliest tokens that the constraint allows, the likeliest first, if that many are among
// the likeliest of all. Else returns false.
bool Sampler::try_allowed(const float * logits, const Constraint & constraint, size_t k) {
    if (k > tried_first / 2) {
        return false;
    }
    select(logits, std::min(tried_first, static_cast<size_t>(n_vocab_)));
    keep_allowed(constraint);
    if (candidates_.size() < k) {
        return false;
    }
    candidates_.resize(k);
    return true;
}

void Sampler::normalize() {
    const float max = candidates_.front().logit;
    double      sum = 0;  // of up to all tokens
    for (Candidate & c : candidates_) {
        c.p = std::exp(c.logit - max);
        sum += c.p;
    }
    for (Candidate & c : candidates_) {
        c.p = static_cast<float>(c.p / sum);
    }
}

// Returns the token at this share of the candidates' probabilities, or LLAMA_TOKEN_NULL beyond their sum.
llama_token Sampler::draw(double share) const {
    for (const Candidate & c : candidates_) {
        share -= c.p;
        if (share < 0) {
            return c.token;
        }
    }
    return LLAMA_TOKEN_NULL;
}

// Draws one of the candidates, those that remain by top_k, top_p and min_p.
llama_token Sampler::draw_kept(double share) {
    for (Candidate & c : candidates_) {
        c.logit /= sampling_.temperature;
    }
    normalize();
    const llama_token token = draw(share);
    return token != LLAMA_TOKEN_NULL ? token : candidates_.back().token;
}

// Sets the candidates' probabilities, given the logarithm of the sum that they are parts of. Returns their sum.
double Sampler::weigh(float scale, double log_sum) {
    double sum = 0;
    for (Candidate & c : candidates_) {
        c.p = static_cast<float>(std::exp(static_cast<double>(c.logit) * scale - log_sum));
        sum += c.p;
    }
    return sum;
}

// Returns how many candidates remain by top_p and min_p if all tokens' probabilities add up to `total`.
size_t Sampler::count_kept(double total) const {
    size_t keep = candidates_.size();
    if (sampling_.top_p < 1) {
        double sum = 0;
        for (keep = 0; keep < candidates_.size() && (keep == 0 || sum < sampling_.top_p * total); keep++) {
            sum += candidates_[keep].p;
        }
    }
    const float bar    = sampling_.min_p > 0 ? candidates_.front().p * sampling_.min_p : 0;
    size_t      likely = 1;
    while (likely < keep && candidates_[likely].p >= bar) {
        likely++;
    }
    return std::min(keep, likely);
}

// Draws one of the candidates if the tokens that are not among them make no difference: the probabilities of all that
// are possible add up to something between `least` and `most`. Else returns LLAMA_TOKEN_NULL.
llama_token Sampler::draw_of_some(double share, double least, double most) {
    if (candidates_.empty()) {
        return LLAMA_TOKEN_NULL;
    }
    if (!truncates()) {
        const llama_token token = draw(share * most);
        return draw(share * least) == token ? token : LLAMA_TOKEN_NULL;
    }
    const size_t keep = count_kept(most);
    if (keep == candidates_.size() || keep != count_kept(least)) {
        return LLAMA_TOKEN_NULL;
    }
    candidates_.resize(keep);
    return draw_kept(share);
}

// Draws one of all the tokens in `row`, see rank(), or of those that the constraint allows. A few of the likeliest
// mostly decide, so the others are neither sorted nor tried: only their sum matters. Returns LLAMA_TOKEN_NULL if there
// is a constraint, and the likeliest don't decide.
llama_token Sampler::draw_of_all(const float * row, size_t n, double share, const std::vector<llama_token> * tokens,
                                 const Constraint * constraint) {
    const float  scale = truncates() ? 1 : 1 / sampling_.temperature;
    const double sum   = log_sum_exp(row, static_cast<int32_t>(n), scale);
    for (size_t k = ranked_first; !constraint || k <= ranked_most; k *= 8) {
        rank(row, n, std::min(k, n), tokens);
        const double ranked   = weigh(scale, sum);
        const bool   complete = k >= n || candidates_.size() < k;
        double       allowed  = ranked;
        if (constraint) {
            const auto refused = [&](const Candidate & c) { return !constraint->allows(c.token); };
            candidates_.erase(std::remove_if(candidates_.begin(), candidates_.end(), refused), candidates_.end());
            allowed = weigh(scale, sum);
        } else if (complete) {
            if (truncates()) {
                candidates_.resize(count_kept(1));
                return draw_kept(share);
            }
            const llama_token token = draw(share);
            return token != LLAMA_TOKEN_NULL ? token : candidates_.back().token;
        }
        const double      others = complete ? 0 : std::max(1 - ranked, 0.0) + rounding;
        const double      most   = constraint ? allowed + others : 1;
        const llama_token token  = draw_of_some(share, constraint ? allowed : 1, most);
        if (token != LLAMA_TOKEN_NULL) {
            return token;
        }
    }
    return LLAMA_TOKEN_NULL;
}

llama_token Sampler::sample_all(const float * logits, const Constraint * constraint) {
    const size_t n     = static_cast<size_t>(n_vocab_);
    const double share = random_() / 4294967296.0;
    if (!constraint) {
        return draw_of_all(logits, n, share, nullptr, nullptr);
    }
    const llama_token token = draw_of_all(logits, n, share, nullptr, constraint);
    if (token != LLAMA_TOKEN_NULL) {
        return token;
    }
    list_allowed(logits, *constraint);
    return draw_of_all(row_.data(), row_.size(), share, &allowed_, nullptr);
}

llama_token Sampler::sample(float * logits, const Constraint * constraint) {
    penalize(logits);
    if (sampling_.temperature < coldest) {
        return constraint ? best_allowed(logits, *constraint) : likeliest(logits);
    }
    if (sampling_.top_k <= 0 || sampling_.top_k >= n_vocab_) {
        return sample_all(logits, constraint);
    }
    const size_t k = static_cast<size_t>(sampling_.top_k);
    if (!constraint) {
        select(logits, k);
    } else if (!try_allowed(logits, *constraint, k)) {
        list_allowed(logits, *constraint);
        rank(row_.data(), row_.size(), k, &allowed_);
    }
    normalize();
    candidates_.resize(count_kept(1));
    return draw_kept(random_() / 4294967296.0);
}

}  // namespace luup
