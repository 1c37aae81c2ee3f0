// Texts to choose from as a tree of their tokens, and how probable the model makes each of them among the others.
#pragma once

#include "llama.h"

#include <cstddef>
#include <vector>

namespace luup {

// Only the places where the choices differ need a row of logits: choices whose first tokens differ need one row, which
// follows the prompt. What a choice has to itself behind the last such place is dictated, as a grammar dictates it.
class ChoiceTree {
  public:
    // `choices`: the tokens of each, which ends with a token that ends an answer, if the model has one.
    explicit ChoiceTree(std::vector<std::vector<llama_token>> choices);

    // Whether all choices are scored.
    bool done() const { return open_.empty(); }

    // The tokens between the prompt and the next place where choices differ, unless done().
    std::vector<llama_token> path() const;

    // Takes the row of logits that follows path(), and goes on to the next place.
    void take(const float * logits);

    // The log-probability of each choice among all of them, once done().
    const std::vector<double> & scores() const { return scores_; }

  private:
    // Choices whose first `depth` tokens are the same.
    struct Group {
        std::vector<size_t> members;
        size_t              depth;
    };

    void open(Group group);

    std::vector<std::vector<llama_token>> choices_;
    std::vector<double>                   scores_;
    std::vector<Group>                    open_;  // places where choices differ; the last one is the next
};

}  // namespace luup
