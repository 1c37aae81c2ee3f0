// The maxLength of strings with a pattern, where an automaton that counts the characters would be too large.
#pragma once

#include "schema/plans.h"

#include <cstdint>
#include <string>
#include <vector>

namespace luup {

// Follows the text of one string along the automata that it may match, and refuses what leaves no room for an end.
class LengthCount {
  public:
    // Counts nothing: accepts all.
    LengthCount() = default;

    // `ids`: the plans that the string may follow. It counts if all strings of these plans have a counted maxLength.
    LengthCount(const SchemaPlans & plans, const std::vector<int> & ids);

    // Takes a byte of the string behind its quote. Returns false if too many characters would be needed for an end.
    bool accept(char byte);

    // Whether the next n bytes may be refused.
    bool may_refuse(size_t n) const;

    // Whether a character has begun that may turn out to be one too many.
    bool at_risk() const { return !part_.empty() && may_refuse(1); }

  private:
    struct Reading {
        const StringPlan * plan;
        int                state;
    };

    bool end_character(uint32_t code);

    std::vector<Reading> readings_;
    uint64_t             n_ = 0;  // characters
    std::string          part_;  // of a character or an escape
};

}  // namespace luup
