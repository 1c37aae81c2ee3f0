// Edits of the grammar that llama.cpp writes for the tool calls of a chat template.
//
// llama.cpp's grammars accept more than its parsers read back, and more than a tool's schema allows. The edits rely on
// the names and the text of its rules; tests/core/chat/grammar_edits.cpp fails when these change.
#pragma once

#include "schema/schema.h"

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace luup {

// Whether a character stays in the names of llama.cpp's rules: letters, digits and "-".
bool is_rule_char(char c);

// Return `name` as llama.cpp writes it in the name of a rule: each run of other characters becomes one "-".
std::string grammar_rule_name(const std::string & name);

// The rules of a GBNF grammar with one rule a line. All edits take time linear in the rules that they read.
class CallGrammar {
  public:
    explicit CallGrammar(const std::string & gbnf);

    bool        has(const std::string & name) const { return rules_.count(name) > 0; }
    std::string get(const std::string & name) const;  // "" if there is no such rule
    void        set(const std::string & name, const std::string & body) { rules_[name] = body; }
    void        rename(const std::string & from, const std::string & to);  // references stay

    // Allow at most one white space where llama.cpp allows many, demand the end of a call where it is optional, and
    // one way to write a list of calls where there are two. Without `parallel`, allow only one call.
    void tighten(bool parallel);

    // Forbid white space between the last argument and the tag that ends a call.
    void tighten_ends();

    // Limit the repetition of the optional arguments of a tool in tags to `n`; `name` is the tool's rule.
    void limit_repeats(const std::string & name, size_t n);

    // Allow only `values`, as JSON strings, for an argument in tags whose rule `name` ends with free text. `others` is
    // the grammar for the same tools with an argument that is not text in its place: its rule shows how such a value
    // ends. Does nothing if either rule is not of that form.
    void restrict_argument(const std::string & name, const std::vector<std::string> & values,
                           const CallGrammar & others);

    // Replace the rule `name`, if there is one, by the grammar of `schema`.
    void bind(const std::string & name, const Schema & schema);

    // The whole grammar.
    std::string text() const;

  private:
    std::map<std::string, std::string> rules_;
    int                                bound_ = 0;
};

}  // namespace luup
