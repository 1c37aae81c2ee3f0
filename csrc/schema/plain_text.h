// Answers that are plain text instead of JSON: those that a regular expression matches, and those of a list.
#pragma once

#include "schema/pattern.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace luup {

struct Dfa;

// A regular expression that has to match a text as a whole.
class TextPattern {
  public:
    // Throws Error(LUUP_ERROR_INVALID_SCHEMA) if the expression is wrong, not supported, too large, or matches no text.
    explicit TextPattern(const std::string & source);

    // Whether `text`, which has to be valid UTF-8, matches, by the rules of ECMA-262.
    bool matches(std::string_view text) const { return pattern_->search(text); }

    // Returns the GBNF grammar of the texts that all common dialects of regular expressions match.
    std::string grammar() const;

  private:
    std::string                    source_;
    std::shared_ptr<const Pattern> pattern_;
    std::shared_ptr<const Dfa>     dfa_;
};

// Returns the GBNF grammar of these texts. Throws Error(LUUP_ERROR_INVALID_SCHEMA) if it is too large.
std::string choice_grammar(const std::vector<std::string> & texts);

}  // namespace luup
