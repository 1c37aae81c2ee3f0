// Distinguishes values of a tool call that the user or a tool mentioned from values that the model made up.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <unordered_set>
#include <vector>

namespace luup {

// One thread at a time may use an object: the first question reads the text.
class Grounding {
  public:
    // `text`: the texts of the user and of the tools.
    explicit Grounding(std::string text) : text_(std::move(text)) {}

    // Returns whether the text mentions `value`, a string or a number: at least half of the string's words (or words
    // with the same first five letters), or the number's numeral, also as a percentage.
    bool mentions(const nlohmann::ordered_json & value) const;

    // Returns whether the text mentions something of `value` that none of `used` has: words of its own, or its number.
    bool mentions_anew(const nlohmann::ordered_json & value, const std::vector<nlohmann::ordered_json> & used) const;

    // Returns the share of the strings and numbers in `value` that the text does not mention; 0.5 if there are none.
    double missing(const nlohmann::ordered_json & value) const;

  private:
    void read() const;
    bool knows(const std::string & word) const;

    mutable bool                            read_ = false;
    mutable std::string                     text_;  // in lower case once it is read
    mutable std::unordered_set<std::string> words_;
    mutable std::unordered_set<std::string> stems_;
    mutable std::vector<double>             numbers_;
};

// Returns `text` with its ASCII letters in lower case.
std::string lowered(std::string text);

// Returns the strings and numbers in `value`, at any depth.
std::vector<nlohmann::ordered_json> leaves(const nlohmann::ordered_json & value);

}  // namespace luup
