#include "engine/drafts.h"

#include <algorithm>

namespace luup {

namespace {

// A repetition of fewer tokens says little.
constexpr size_t ngram = 3;

// Weights of a new measurement in the moving averages. What is longer may be an interruption, what is shorter is not.
constexpr double longer_weight  = 0.2;
constexpr double shorter_weight = 0.5;
constexpr double right_weight   = 0.1;
constexpr double answer_weight  = 0.5;

// Each decode of fewer tokens multiplies the trust in the time of one with more by this.
constexpr double fading = 0.999;

// An answer whose drafts were wrong gets another chance after about a hundred drafts that were not checked, or a
// thousand that take time to make.
constexpr double forgiveness         = 0.01;
constexpr double forgiveness_if_made = 0.001;

// The speed-up that a draft has to promise: less is lost in what the estimates leave out.
constexpr double worthwhile = 1.05;

// Before anything was measured: how much faster a prompt is read than tokens are guessed.
constexpr double read_speedup = 8;

// So few tokens are read without a thought.
constexpr size_t worth_reading_for = 8;

// The expected answer must save the cost of reading this many times.
constexpr double safety = 2;

}  // namespace

// Fibonacci hashing. A collision does no harm, since drafts are checked.
uint64_t PromptLookup::key(const llama_token * last) {
    uint64_t value = 0;
    for (size_t i = 0; i < ngram; i++) {
        value = (value ^ static_cast<uint32_t>(last[i])) * 0x9E3779B97F4A7C15ull;
        value ^= value >> 29;
    }
    return value;
}

void PromptLookup::draft(const std::vector<llama_token> & tokens, size_t limit, std::vector<llama_token> & draft) {
    draft.clear();
    if (tokens.size() <= ngram) {
        return;
    }
    // Start over if tokens were retracted.
    if (seen_.size() >= tokens.size() || !std::equal(seen_.begin(), seen_.end(), tokens.begin())) {
        seen_.clear();
        after_.clear();
    }
    for (size_t i = seen_.size(); i + 1 < tokens.size(); i++) {  // nothing follows the last one yet
        seen_.push_back(tokens[i]);
        if (i + 1 >= ngram) {
            after_[key(&tokens[i + 1 - ngram])] = i + 1;
        }
    }
    const auto found = after_.find(key(&tokens[tokens.size() - ngram]));
    if (found != after_.end() && found->second < tokens.size()) {
        const size_t end = std::min(found->second + limit, tokens.size());
        draft.assign(tokens.begin() + static_cast<std::ptrdiff_t>(found->second),
                     tokens.begin() + static_cast<std::ptrdiff_t>(end));
    }
}

void DecodeTimes::record(size_t tokens, double seconds) {
    if (tokens == 0 || tokens > largest) {
        return;
    }
    const double before = known(tokens) / std::max(trust_[tokens], 1e-9);
    const double weight = seconds < before ? shorter_weight : longer_weight;
    seconds_[tokens]    = before == 0 ? seconds : before + weight * (seconds - before);
    trust_[tokens]      = 1;
    for (size_t more = tokens + 1; more <= largest; more++) {
        trust_[more] *= fading;
    }
}

// Tokens cost at most as much together as one by one: more was an interruption.
double DecodeTimes::known(size_t tokens) const {
    const double most = static_cast<double>(tokens) * seconds_[1];
    return trust_[tokens] * (most > 0 ? std::min(seconds_[tokens], most) : seconds_[tokens]);
}

double DecodeTimes::estimate(size_t tokens) const {
    tokens       = std::min(tokens, largest);
    size_t below = tokens, above = tokens;
    while (below > 0 && seconds_[below] == 0) {
        below--;
    }
    while (above <= largest && seconds_[above] == 0) {
        above++;
    }
    if (below == 0 || above > largest || below == above) {
        return below > 0 ? known(below) : above <= largest ? known(above) : 0;
    }
    const double part = static_cast<double>(tokens - below) / static_cast<double>(above - below);
    return known(below) + part * std::max(0.0, known(above) - known(below));
}

void DraftRecord::record(size_t accepted, size_t offered) {
    for (size_t i = 0; i < std::min(accepted + 1, offered); i++) {  // tokens behind the first wrong one say nothing
        right_ += right_weight * ((i < accepted ? 1.0 : 0.0) - right_);
    }
}

size_t DraftRecord::worth(size_t available, size_t others, const DecodeTimes & times, double each, double * saved) {
    const double alone = times.estimate(others + 1);
    const double plain = static_cast<double>(others + 1) / std::max(alone, 1e-9);
    size_t       best  = 0;
    double       pace  = worthwhile * plain;
    double       gain = 0, all_right = 1;
    for (size_t n = 1; n <= available && alone > 0; n++) {
        all_right *= right_;
        gain += all_right;
        // More tokens never take less time: where they seem to, a busy machine held up the decode of fewer.
        const double time = std::max(times.estimate(others + 1 + n), alone) + static_cast<double>(n) * each;
        const double with = (static_cast<double>(others + 1) + gain) / time;
        if (with > pace) {
            pace = with;
            best = n;
        }
    }
    if (best == 0 && available > 0) {
        right_ += (each > 0 ? forgiveness_if_made : forgiveness) * (likely - right_);
    }
    if (saved) {
        *saved = best > 0 ? 1 - plain / pace : 0;
    }
    return best;
}

void DraftPolicy::end(const Answer & answer, size_t tokens) {
    length_ += answer_weight * (static_cast<double>(tokens) - length_);
    if (answer.begun) {
        right_ += answer_weight * (answer.record.right() - right_);
    }
}

size_t DraftPolicy::worth(Answer & answer, size_t limit, size_t others, size_t texts, size_t answered, size_t unread,
                          const DraftCosts & costs, const DecodeTimes & times) const {
    const double alone = times.estimate(others + 1);
    const double each  = costs.guess / static_cast<double>(texts);  // 0 before the first guess
    if (alone <= 0 || limit == 0) {
        return 0;
    }
    double       gain = 0;
    const size_t n    = answer.record.worth(limit, others, times, each, &gain);
    if (n == 0) {
        return 0;
    }
    const double read     = costs.read > 0 ? costs.read : each > 0 ? each / read_speedup : 0;
    const double expected = std::max(length_ - static_cast<double>(answered), static_cast<double>(answered));
    const double cost     = static_cast<double>(unread) * (read > 0 ? read : alone / read_speedup);
    const bool   reads    = unread > worth_reading_for;
    return reads && cost * safety > expected * alone * gain ? 0 : n;
}

bool DraftPolicy::hopes(size_t limit, const DraftCosts & costs, const DecodeTimes & times) const {
    DraftRecord record(right_);
    return times.estimate(1) <= 0 || costs.guess <= 0 || record.worth(limit, 0, times, costs.guess) > 0;
}

}  // namespace luup
