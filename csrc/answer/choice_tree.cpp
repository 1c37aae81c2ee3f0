#include "answer/choice_tree.h"

#include "engine/logits.h"

#include <map>
#include <numeric>
#include <utility>

namespace luup {

ChoiceTree::ChoiceTree(std::vector<std::vector<llama_token>> choices)
    : choices_(std::move(choices)), scores_(choices_.size(), 0.0) {
    Group all{ std::vector<size_t>(choices_.size()), 0 };
    std::iota(all.members.begin(), all.members.end(), size_t{ 0 });
    open(std::move(all));
}

std::vector<llama_token> ChoiceTree::path() const {
    const Group & next   = open_.back();
    const auto &  tokens = choices_[next.members.front()];
    return { tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(next.depth) };
}

void ChoiceTree::take(const float * logits) {
    const Group group = std::move(open_.back());
    open_.pop_back();
    std::map<llama_token, std::vector<size_t>> branches;
    for (const size_t i : group.members) {
        if (group.depth < choices_[i].size()) {  // else it ends here, and the model has no token for that
            branches[choices_[i][group.depth]].push_back(i);
        }
    }
    std::vector<float> values;
    for (const auto & [token, members] : branches) {
        values.push_back(logits[token]);
    }
    const double all = log_sum_exp(values.data(), static_cast<int32_t>(values.size()));
    for (auto & [token, members] : branches) {
        for (const size_t i : members) {
            scores_[i] += static_cast<double>(logits[token]) - all;
        }
        open({ std::move(members), group.depth + 1 });
    }
}

// Adds the first place where the group's choices differ, if there is one.
void ChoiceTree::open(Group group) {
    const auto & first = choices_[group.members.front()];
    if (group.members.size() == 1) {
        return;
    }
    for (;; group.depth++) {
        bool ended = true;
        for (const size_t i : group.members) {
            const auto & tokens = choices_[i];
            const bool   here   = group.depth == tokens.size();
            if (here != (group.depth == first.size()) || (!here && tokens[group.depth] != first[group.depth])) {
                open_.push_back(std::move(group));
                return;
            }
            ended = ended && here;
        }
        if (ended) {  // different texts of the same tokens
            return;
        }
    }
}

}  // namespace luup
