#include "schema/determine.h"

#include "base/text.h"
#include "schema/limits.h"

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>

namespace luup {

namespace {

// Several automata side by side. The excluded texts are one of them, which matches them as a whole.
struct Joint {
    Nfa               nfa;
    std::vector<int>  starts, matches;
    std::vector<bool> positive;

    void add(const Nfa & part, bool is_positive) {
        const int offset = static_cast<int>(nfa.states.size());
        for (Nfa::State state : part.states) {
            state.next  = state.next < 0 ? -1 : state.next + offset;
            state.other = state.other < 0 ? -1 : state.other + offset;
            if (state.kind == Nfa::Kind::match) {
                matches.push_back(static_cast<int>(nfa.states.size()));
                // Once matched, it stays matched.
                state = Nfa::State::chars({ { 0, last_code_point } }, static_cast<int>(nfa.states.size()));
            }
            nfa.states.push_back(std::move(state));
        }
        starts.push_back(part.start + offset);
        positive.push_back(is_positive);
    }
};

Nfa whole_texts(const std::vector<std::string> & texts) {
    Nfa nfa;
    nfa.states.push_back(Nfa::State::match());
    nfa.states.push_back(Nfa::State::end(0));
    int all = -1;
    for (const std::string & text : texts) {
        const std::vector<uint32_t> codes = code_points(text);
        int                         next  = 1;
        for (size_t i = codes.size(); i-- > 0;) {
            nfa.states.push_back(Nfa::State::chars({ { codes[i], codes[i] } }, next));
            next = static_cast<int>(nfa.states.size()) - 1;
        }
        nfa.states.push_back(Nfa::State::split(next, all));
        all = static_cast<int>(nfa.states.size()) - 1;
        if (nfa.states.size() > schema_limits::excluded_states) {
            throw DfaTooLarge();
        }
    }
    nfa.start = all;
    return nfa;
}

// The subset construction over all automata at once.
class Determiniser {
  public:
    explicit Determiniser(Joint joint) : joint_(std::move(joint)), seen_(joint_.nfa.states.size()) { split_alphabet(); }

    Dfa build() {
        std::vector<int> start;
        for (const int s : joint_.starts) {
            close(s, true, false, start);
        }
        forget(start);
        number(std::move(start));
        for (size_t i = 0; i < sets_.size(); i++) {
            expand(i);
        }
        return std::move(dfa_);
    }

  private:
    // Finds the intervals whose characters are in the same sets.
    void split_alphabet() {
        std::vector<uint32_t> cuts = { 0 };
        for (const Nfa::State & state : joint_.nfa.states) {
            for (const auto & range : state.set) {
                cuts.push_back(range.first);
                cuts.push_back(range.second + 1);
            }
        }
        std::sort(cuts.begin(), cuts.end());
        cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
        while (!cuts.empty() && cuts.back() > last_code_point) {
            cuts.pop_back();
        }
        cuts_ = std::move(cuts);
    }

    void close(int from, bool at_begin, bool at_end, std::vector<int> & out) {
        std::vector<int> todo = { from };
        while (!todo.empty()) {
            const int s = todo.back();
            todo.pop_back();
            if (s < 0 || seen_[s]) {
                continue;
            }
            if (++work_ > schema_limits::determinisation) {
                throw DfaTooLarge();
            }
            seen_[s]                 = true;
            const Nfa::State & state = joint_.nfa.states[s];
            out.push_back(s);
            if (state.kind == Nfa::Kind::split) {
                todo.push_back(state.next);
                todo.push_back(state.other);
            } else if ((state.kind == Nfa::Kind::begin && at_begin) || (state.kind == Nfa::Kind::end && at_end)) {
                todo.push_back(state.next);
            }
        }
    }

    // Clears the marks and removes states that have no effect on the following characters.
    void forget(std::vector<int> & set) {
        for (const int s : set) {
            seen_[s] = false;
        }
        set.erase(std::remove_if(set.begin(), set.end(),
                                 [&](int s) {
                                     const auto kind = joint_.nfa.states[s].kind;
                                     return kind == Nfa::Kind::split || kind == Nfa::Kind::begin;
                                 }),
                  set.end());
        std::sort(set.begin(), set.end());
    }

    bool accepts(const std::vector<int> & set) {
        std::vector<int> closed;
        const bool       at_begin = sets_.empty();
        for (const int s : set) {
            close(s, at_begin, true, closed);
        }
        if (at_begin) {
            for (const int s : joint_.starts) {
                close(s, true, true, closed);
            }
        }
        bool ok = true;
        for (size_t i = 0; i < joint_.matches.size(); i++) {
            ok = ok && seen_[joint_.matches[i]] == joint_.positive[i];
        }
        for (const int s : closed) {
            seen_[s] = false;
        }
        return ok;
    }

    // Returns the number of a set of states. The first one is never shared: only there the text begins.
    int number(std::vector<int> set) {
        const bool first = sets_.empty();
        if (!first) {
            const auto found = numbers_.find(set);
            if (found != numbers_.end()) {
                return found->second;
            }
        }
        if (sets_.size() >= schema_limits::dfa_states) {
            throw DfaTooLarge();
        }
        Dfa::State state;
        state.accepts = accepts(set);
        dfa_.states.push_back(state);
        const int id = static_cast<int>(sets_.size());
        if (!first) {
            numbers_.emplace(set, id);
        }
        sets_.push_back(std::move(set));
        return id;
    }

    void expand(size_t from) {
        const std::vector<int>              set = sets_[from];
        std::vector<std::pair<int, Ranges>> targets;
        for (size_t c = 0; c < cuts_.size(); c++) {
            std::vector<int> next;
            for (const int s : set) {
                const Nfa::State & state = joint_.nfa.states[s];
                if (++work_ > schema_limits::determinisation) {
                    throw DfaTooLarge();
                }
                if (state.kind == Nfa::Kind::chars && contains(state.set, cuts_[c])) {
                    close(state.next, false, false, next);
                }
            }
            forget(next);
            const int      target = number(std::move(next));
            const uint32_t last   = c + 1 < cuts_.size() ? cuts_[c + 1] - 1 : last_code_point;
            auto it = std::find_if(targets.begin(), targets.end(), [&](const auto & t) { return t.first == target; });
            if (it == targets.end()) {
                targets.push_back({ target, { { cuts_[c], last } } });
            } else if (it->second.back().second + 1 == cuts_[c]) {
                it->second.back().second = last;
            } else {
                it->second.emplace_back(cuts_[c], last);
            }
        }
        for (auto & target : targets) {
            dfa_.states[from].edges.push_back({ std::move(target.second), target.first });
        }
    }

    Joint                           joint_;
    std::vector<bool>               seen_;
    std::vector<uint32_t>           cuts_;
    std::vector<std::vector<int>>   sets_;
    std::map<std::vector<int>, int> numbers_;
    Dfa                             dfa_;
    size_t                          work_ = 0;
};

Dfa build_dfa(const std::vector<PatternUse> & uses, const std::vector<std::string> & excluded,
              const LengthLimits & length) {
    Joint joint;
    for (const PatternUse & use : uses) {
        // Not matching a pattern with several parts is a choice; negate.cpp admits only patterns with one part there.
        for (const Pattern::Part & part : use.pattern->parts()) {
            const bool found = part.positive == use.positive;
            joint.add(part.read(use.exact ? Reading::exact : found ? Reading::within : Reading::around), found);
        }
    }
    if (!excluded.empty()) {
        joint.add(whole_texts(excluded), false);
    }
    Dfa dfa = minimised(trimmed(Determiniser(std::move(joint)).build()));
    if (dfa.states.empty()) {
        return dfa;
    }
    const uint64_t most = longest(dfa);
    const uint64_t max  = length.max.value_or(UINT64_MAX);
    if (most <= max && shortest(dfa) >= length.min) {
        return dfa;
    }
    return counted(dfa, length.min, most <= max ? std::nullopt : length.max, length.most_states);
}

// Returns a text that is equal for equal arguments only.
std::string key_of(const std::vector<PatternUse> & uses, const std::vector<std::string> & excluded,
                   const LengthLimits & length) {
    std::string key;
    const auto  add = [&](const std::string & text) { key += std::to_string(text.size()) + ":" + text; };
    for (const PatternUse & use : uses) {
        key += use.positive ? '+' : '-';
        key += use.exact ? '!' : '?';
        add(use.pattern->source());
    }
    key += ';';
    for (const std::string & text : excluded) {
        add(text);
    }
    return key + ";" + std::to_string(length.min) + "," + (length.max ? std::to_string(*length.max) : "") + "," +
           std::to_string(length.most_states);
}

}  // namespace

std::shared_ptr<const Dfa> find_dfa(const std::vector<PatternUse> & uses, const std::vector<std::string> & excluded,
                                    const LengthLimits & length) {
    // By thread, so that no lock is held over a fork. Null: too large.
    static thread_local std::map<std::string, std::shared_ptr<const Dfa>> kept;
    static thread_local std::deque<std::string>                           oldest;

    std::string key   = key_of(uses, excluded, length);
    auto        known = kept.find(key);
    if (known == kept.end()) {
        std::shared_ptr<const Dfa> dfa;
        try {
            dfa = std::make_shared<const Dfa>(build_dfa(uses, excluded, length));
        } catch (const DfaTooLarge &) {
        }
        if (oldest.size() == schema_limits::kept_automata) {
            kept.erase(oldest.front());
            oldest.pop_front();
        }
        oldest.push_back(key);
        known = kept.emplace(std::move(key), std::move(dfa)).first;
    }
    if (!known->second) {
        throw DfaTooLarge();
    }
    return known->second;
}

}  // namespace luup
