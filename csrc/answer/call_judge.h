// Judges whether the model means a tool call that it writes under a grammar.
#pragma once

#include "answer/grounding.h"
#include "chat/message.h"
#include "chat/tools.h"

#include <memory>
#include <string>
#include <vector>

namespace luup {

// Under a grammar a model writes a call whether one fits or not. The probabilities that it gave to the tool's name and
// to the values, before the grammar masked its logits, tell the two apart: even small models are sure of a call that
// fits, and unsure of one that the grammar forces on them. Text that the grammar dictates (keys, quotes, brackets) does
// not count. The thresholds were measured on questions with and without a fitting tool, with a model that was trained
// to call tools and one that was not.
class CallJudge {
  public:
    // Returns whether a call that begins with the log-probability `start` is worth a try. `taught`: the model was
    // trained to write calls in this format.
    static bool may_begin(double start, bool taught);

    // The call begins at byte `begin` of the answer's text, with the log-probability `start`. `first`: it is the first
    // call for the user's message.
    CallJudge(size_t begin, bool first, double start, bool taught, std::shared_ptr<const ToolSet> tools,
              std::shared_ptr<const Grounding> given)
        : begin_(begin),
          first_(first),
          taught_(taught),
          start_(start),
          tools_(std::move(tools)),
          given_(std::move(given)) {}

    size_t begin() const { return begin_; }
    size_t tokens() const { return pieces_.size(); }

    // Adds a token of the call: its bytes in the answer's text, its log-probability without the grammar, and whether
    // the grammar left a choice.
    void add(size_t begin, size_t end, double log_probability, bool choice);

    // Returns the part of `dictated`, the text that the grammar dictates next, that comes before the tool's name: the
    // model's probability of the name is needed.
    std::string before_name(const std::string & dictated) const;

    // Returns whether the model may mean the call, of which the answer's `text` has the beginning.
    bool may_be_meant(const std::string & text);

    // Returns whether the model means the complete call, the last one in `text`. `earlier`: the calls before it.
    bool is_meant(const std::string & text, const ToolCall & call, const std::vector<ToolCall> & earlier);

    // Returns `call` without guesses: optional arguments, and texts in lists, that the model was unsure of and that
    // neither the user nor a tool mentioned.
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

    nlohmann::ordered_json without_guesses(const std::string & text, const Argument & argument,
                                           const nlohmann::ordered_json & items, bool copied) const;

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
