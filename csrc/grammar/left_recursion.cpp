#include "grammar/left_recursion.h"

#include <algorithm>
#include <cstddef>
#include <set>
#include <vector>

namespace luup {

namespace {

class Beginnings {
  public:
    explicit Beginnings(const Gbnf & gbnf) : gbnf_(gbnf), empty_(gbnf.rules.size()) {
        for (bool changed = true; changed;) {
            changed = false;
            for (size_t i = 0; i < gbnf.rules.size(); i++) {
                const bool now = empty_[i] || can_be_empty(gbnf.rules[i].body);
                changed        = changed || now != empty_[i];
                empty_[i]      = now;
            }
        }
    }

    // Returns the rules with which the text of `rule` may begin.
    std::set<uint32_t> of(uint32_t rule) const {
        std::set<uint32_t>    found;
        std::vector<uint32_t> todo = { rule };
        while (!todo.empty()) {
            std::set<uint32_t> first;
            add(gbnf_.rules[todo.back()].body, first);
            todo.pop_back();
            for (const uint32_t each : first) {
                if (found.insert(each).second) {
                    todo.push_back(each);
                }
            }
        }
        return found;
    }

  private:
    bool can_be_empty(const GbnfItem & item) const {
        return item.min == 0 || (item.kind == GbnfItem::Kind::group && can_be_empty(item.body)) ||
               (item.kind == GbnfItem::Kind::rule && empty_[item.value]);
    }

    bool can_be_empty(const GbnfChoice & choice) const {
        return std::any_of(choice.begin(), choice.end(), [&](const GbnfSequence & sequence) {
            return std::all_of(sequence.begin(), sequence.end(),
                               [&](const GbnfItem & item) { return can_be_empty(item); });
        });
    }

    void add(const GbnfChoice & choice, std::set<uint32_t> & found) const {
        for (const GbnfSequence & sequence : choice) {
            for (const GbnfItem & item : sequence) {
                if (item.kind == GbnfItem::Kind::rule) {
                    found.insert(item.value);
                } else if (item.kind == GbnfItem::Kind::group) {
                    add(item.body, found);
                }
                if (!can_be_empty(item)) {
                    break;
                }
            }
        }
    }

    const Gbnf &      gbnf_;
    std::vector<bool> empty_;  // by rule: whether it matches the empty text
};

}  // namespace

std::string left_recursive_rule(const Gbnf & gbnf) {
    const Beginnings beginnings(gbnf);
    for (size_t i = 0; i < gbnf.rules.size(); i++) {
        if (beginnings.of(static_cast<uint32_t>(i)).count(static_cast<uint32_t>(i)) > 0) {
            return gbnf.rules[i].name;
        }
    }
    return "";
}

}  // namespace luup
