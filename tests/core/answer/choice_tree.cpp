// The probabilities of given answers.
#include "answer/choice_tree.h"

#include "check.h"

#include <cmath>
#include <map>
#include <string>
#include <vector>

using namespace luup;

namespace {

using Tokens = std::vector<llama_token>;

constexpr size_t n_tokens = 16;

// A row of logits in which the given tokens have these probabilities among one another, and all others are likelier.
std::vector<float> row(const std::map<llama_token, double> & probabilities) {
    std::vector<float> logits(n_tokens, 50.0f);
    for (const auto & [token, p] : probabilities) {
        logits[static_cast<size_t>(token)] = static_cast<float>(std::log(p)) + 3.0f;
    }
    return logits;
}

bool near(double score, double probability) {
    return std::abs(std::exp(score) - probability) < 1e-5;
}

}  // namespace

CASE(choices_of_different_first_tokens_need_one_row) {
    ChoiceTree tree({ { 1, 2, 0 }, { 3, 0 }, { 4, 5, 6, 0 } });
    CHECK(!tree.done());
    CHECK(tree.path().empty());
    tree.take(row({ { 1, 0.5 }, { 3, 0.3 }, { 4, 0.2 } }).data());
    CHECK(tree.done());
    CHECK(near(tree.scores()[0], 0.5) && near(tree.scores()[1], 0.3) && near(tree.scores()[2], 0.2));
}

CASE(choices_that_begin_alike_need_a_row_for_each_place_where_they_differ) {
    ChoiceTree tree({ { 1, 2, 0 }, { 1, 2, 3, 0 }, { 5, 0 }, { 6, 7, 8, 0 }, { 6, 7, 9, 0 } });
    std::map<Tokens, std::vector<float>> rows = {
        { {}, row({ { 1, 0.4 }, { 5, 0.1 }, { 6, 0.5 } }) },
        { { 1, 2 }, row({ { 0, 0.25 }, { 3, 0.75 } }) },
        { { 6, 7 }, row({ { 8, 0.9 }, { 9, 0.1 } }) },
    };
    while (!tree.done()) {
        const auto found = rows.find(tree.path());
        CHECK(found != rows.end());
        if (found == rows.end()) {
            return;
        }
        tree.take(found->second.data());
        rows.erase(found);  // no place is asked for twice
    }
    CHECK(tree.done() && rows.empty());
    CHECK(near(tree.scores()[0], 0.1) && near(tree.scores()[1], 0.3) && near(tree.scores()[2], 0.1));
    CHECK(near(tree.scores()[3], 0.45) && near(tree.scores()[4], 0.05));
}

CASE(a_common_beginning_needs_no_row) {
    ChoiceTree tree({ { 1, 2, 3, 0 }, { 1, 2, 4, 0 } });
    CHECK(tree.path() == Tokens({ 1, 2 }));
    tree.take(row({ { 3, 0.2 }, { 4, 0.8 } }).data());
    CHECK(tree.done() && near(tree.scores()[0], 0.2) && near(tree.scores()[1], 0.8));
}

CASE(one_choice_and_texts_of_the_same_tokens_need_no_row) {
    CHECK(ChoiceTree({ { 1, 2 } }).done());
    ChoiceTree same({ { 1, 2 }, { 1, 2 } });
    CHECK(same.done() && same.scores() == std::vector<double>({ 0, 0 }));
}

CASE(a_choice_that_goes_on_from_another_without_an_end_token) {
    ChoiceTree tree({ { 1 }, { 1, 2 }, { 3 } });
    tree.take(row({ { 1, 0.5 }, { 3, 0.5 } }).data());
    CHECK(!tree.done() && tree.path() == Tokens({ 1 }));
    tree.take(row({ { 2, 1 } }).data());
    CHECK(tree.done() && near(tree.scores()[0], 0.5) && near(tree.scores()[2], 0.5));
}
