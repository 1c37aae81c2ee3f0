// The rules of a grammar while it is written: names, rules shared by equal text, and repetitions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace luup {

class GrammarRules {
  public:
    // Thrown if the grammar is larger than schema_limits::grammar_bytes.
    struct TooLarge {};

    // The names of all rules begin with `prefix`.
    explicit GrammarRules(std::string prefix) : prefix_(std::move(prefix)) {}

    const std::string & prefix() const { return prefix_; }

    // Returns a new name.
    std::string fresh() { return prefix_ + "-" + std::to_string(n_rules_++); }

    void add(const std::string & name, const std::string & body);

    // Returns the name of a rule with this body. Equal bodies share a rule.
    std::string shared(const std::string & body);

    // Returns the text for min to max repetitions of a rule, for min or more without `max`.
    std::string repeat(const std::string & rule, uint64_t min, std::optional<uint64_t> max);

    // Returns the grammar.
    std::string take() { return std::move(out_); }

  private:
    std::string exactly(const std::string & unit, uint64_t n);
    std::string up_to(const std::string & unit, uint64_t n);

    std::string                        prefix_, out_;
    std::map<std::string, std::string> bodies_;  // the names of shared rules
    size_t                             n_rules_ = 0;
    size_t                             size_    = 0;  // bytes of rules, with a prefix of length 0
};

}  // namespace luup
