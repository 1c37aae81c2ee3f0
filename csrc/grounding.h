// Whether the values of a tool call stand in what was said, or were made up.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <unordered_set>
#include <vector>

namespace luup {

class Grounding {
  public:
    // `text`: what the user and the tools said. It is not read before the first question; then one thread at a time may ask.
    explicit Grounding(std::string text) : text_(std::move(text)) {}

    // A string stands in the text if at least half of its words do (or agree in their first five letters), a number if its numeral does, also as a
    // percentage. `value` is a string or a number.
    bool stands(const nlohmann::ordered_json & value) const;

    // Whether `value` stands in the text by something that none of `used` says: words of its own, or its number.
    bool stands_anew(const nlohmann::ordered_json & value, const std::vector<nlohmann::ordered_json> & used) const;

    // Of the strings and numbers in `value`, the share that does not stand in the text; 0.5 if there are none.
    double missing(const nlohmann::ordered_json & value) const;

  private:
    void read() const;
    bool knows(const std::string & word) const;

    mutable bool                            read_ = false;
    mutable std::string                     text_;  // in small letters once it is read
    mutable std::unordered_set<std::string> words_;
    mutable std::unordered_set<std::string> stems_;
    mutable std::vector<double>             numbers_;
};

// `text` with its ASCII letters small.
std::string lowered(std::string text);

// The strings and numbers in `value`, however deep.
std::vector<nlohmann::ordered_json> leaves(const nlohmann::ordered_json & value);

}  // namespace luup
