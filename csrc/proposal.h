// Judges a tool call that was written under a grammar: whether the model means it.
#pragma once

#include "grounding.h"
#include "message.h"
#include "tools.h"

#include <memory>
#include <string>
#include <vector>

namespace luup {

// Under a grammar a model writes a call whether one fits or not. How probable it found the tool's name and the values, before the grammar
// had its say, tells the two apart: small models too are sure of a call that fits, and unsure of one that was forced on them. What
// the grammar dictates (keys, quotes, brackets) says nothing. Measured on questions that have no fitting tool, and on ones that have,
// with a model that was taught to call tools, and one that was not.
class Proposal {
  public:
    // Whether a call that begins with the log-probability `start` is worth a try. `taught`: the model was taught to write calls like this.
    static bool may_begin(double start, bool taught);

    // The call begins at `begin` of the answer's text; `first`: it is the first for the user's message, begun with the log-probability `start`.
    Proposal(size_t begin, bool first, double start, bool taught, std::shared_ptr<const ToolSet> tools, std::shared_ptr<const Grounding> given)
        : begin_(begin), first_(first), taught_(taught), start_(start), tools_(std::move(tools)), given_(std::move(given)) {}

    size_t begin() const { return begin_; }
    size_t tokens() const { return pieces_.size(); }

    // A token of the call: its bytes in the answer's text, its log-probability without the grammar, and whether the grammar left a choice.
    void add(size_t begin, size_t end, double log_probability, bool choice);

    // The part of a text that the grammar dictates next which comes before the tool's name: the model has to be asked for that.
    std::string before_name(const std::string & dictated) const;

    // Whether the call may still be meant, by what there is of it in the answer's `text`.
    bool may_be_meant(const std::string & text);

    // Whether the complete call, the last in `text`, is meant; `earlier`: those before it.
    bool is_meant(const std::string & text, const ToolCall & call, const std::vector<ToolCall> & earlier);

    // `call` without the optional arguments, and the texts in its lists, that the model was unsure of and that nobody spoke of.
    ToolCall without_guesses(const std::string & text, const ToolCall & call);

  private:
    struct Piece {
        size_t begin, end;
        double log_probability;
        bool   choice;
    };

    // An argument: its value's place in the text, and its log-probability.
    struct Argument {
        std::string name;
        size_t      begin, end;
        double      log_probability;
    };

    bool                  find_name(const std::string & text);
    double                name_score() const;
    double                begin_score() const;
    std::vector<Argument> arguments(const std::string & text, const std::vector<std::string> & names) const;
    double                arguments_score(const std::vector<Argument> & all, size_t count) const;

    std::vector<std::string> named(const std::string & text) const;

    nlohmann::ordered_json without_guesses(const std::string & text, const Argument & argument, const nlohmann::ordered_json & items, bool copied) const;

    size_t                           begin_;
    bool                             first_;
    bool                             taught_;
    double                           start_;
    std::shared_ptr<const ToolSet>   tools_;
    std::shared_ptr<const Grounding> given_;
    std::vector<Piece>               pieces_;
    size_t                           name_begin_ = 0, name_end_ = 0;  // in the text; both 0 until it is complete
    std::vector<std::string>         parameters_, required_;          // of the tool of that name
};

}  // namespace luup
