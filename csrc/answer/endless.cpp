#include "answer/endless.h"

#include <algorithm>

namespace luup {

void EndlessWatch::read(std::string_view text) {
    for (const char c : text) {
        deepest_ = std::max(deepest_, brackets_.read(c));
    }
}

void EndlessWatch::add(llama_token token, uint64_t place) {
    last_.resize(longest_period);
    const Entry entry(token, place);
    for (size_t period = 1; period <= std::min(longest_period, n_); period++) {
        uint32_t & equal = equal_[period];
        equal            = last_[(n_ - period) % longest_period] == entry ? equal + 1 : 0;
        if (equal + period >= std::max(least_tokens, least_repeats * period) && period_ == 0) {
            period_ = period;
        }
    }
    last_[n_ % longest_period] = entry;
    n_++;
}

std::string EndlessWatch::reason() const {
    if (deepest_ > most_nested) {
        return "it opened more than " + std::to_string(most_nested) + " arrays and objects inside each other";
    }
    if (period_ > 0) {
        return "its last " + std::to_string(std::max(least_tokens, least_repeats * period_)) + " tokens repeat " +
               (period_ == 1 ? std::string("one token") : "the same " + std::to_string(period_) + " tokens") +
               " where the schema sets no limit";
    }
    return "";
}

}  // namespace luup
