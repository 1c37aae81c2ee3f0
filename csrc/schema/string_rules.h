// Grammar rules for strings, for plain texts and for lists of constant values.
#pragma once

#include "schema/plans.h"
#include "schema/rules.h"

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace luup {

class StringRules {
  public:
    explicit StringRules(GrammarRules & rules) : rules_(rules) {}

    // Return the right side of a rule.
    std::string string(const StringPlan & plan);
    std::string constants(const std::vector<Json> & values);
    std::string plain(const Dfa & dfa);
    std::string texts(std::vector<std::string> texts);

  private:
    using Characters = std::vector<std::string> (*)(const Ranges & set);

    std::string automaton(const Dfa & dfa, const std::string & end, Characters characters);
    std::string tree(const std::vector<std::string> & texts, size_t begin, size_t end, size_t from, size_t depth);

    GrammarRules &                     rules_;
    std::map<const Dfa *, std::string> dfas_;
};

}  // namespace luup
