// Automata of the strings that a schema allows: patterns determinised together, then cut to a length.
#include "schema_pattern.h"

#include <algorithm>
#include <map>
#include <stdexcept>

namespace luup {

namespace {

constexpr uint32_t max_code    = 0x10FFFF;
constexpr size_t   max_states  = 2000;      // without lengths
constexpr size_t   max_counted = 6000;      // with lengths
constexpr size_t   max_work    = 20000000;  // steps of one determinisation
constexpr size_t   soft_length = 256;       // of a string with a pattern and no maxLength

[[noreturn]] void too_large() {
    throw std::length_error("the automaton of the pattern is too large");
}

// All automata side by side, the excluded texts as one that matches them whole.
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
                // Found once is found for good.
                state = { Nfa::Kind::chars, { { 0, max_code } }, static_cast<int>(nfa.states.size()), -1 };
            }
            nfa.states.push_back(std::move(state));
        }
        starts.push_back(part.start + offset);
        positive.push_back(is_positive);
    }
};

Nfa whole_texts(const std::vector<std::string> & texts) {
    Nfa nfa;
    nfa.states.push_back({ Nfa::Kind::match, {}, -1, -1 });
    nfa.states.push_back({ Nfa::Kind::end, {}, 0, -1 });
    int all = -1;
    for (const std::string & text : texts) {
        const std::vector<uint32_t> codes = code_points(text);
        int                         next  = 1;
        for (size_t i = codes.size(); i-- > 0;) {
            nfa.states.push_back({ Nfa::Kind::chars, { { codes[i], codes[i] } }, next, -1 });
            next = static_cast<int>(nfa.states.size()) - 1;
        }
        nfa.states.push_back({ Nfa::Kind::split, {}, next, all });
        all = static_cast<int>(nfa.states.size()) - 1;
        if (nfa.states.size() > 200000) {
            too_large();
        }
    }
    nfa.start = all;
    return nfa;
}

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
    // The intervals within which all characters are alike.
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
        while (!cuts.empty() && cuts.back() > max_code) {
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
            if (++work_ > max_work) {
                too_large();
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

    // Unmarks and keeps only the states that matter for what comes.
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

    // The first state is one of its own: only there the text begins.
    int number(std::vector<int> set) {
        const bool first = sets_.empty();
        if (!first) {
            const auto found = numbers_.find(set);
            if (found != numbers_.end()) {
                return found->second;
            }
        }
        if (sets_.size() >= max_states) {
            too_large();
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
        const std::vector<int>               set = sets_[from];
        std::vector<std::pair<int, CodeSet>> targets;
        for (size_t c = 0; c < cuts_.size(); c++) {
            std::vector<int> next;
            for (const int s : set) {
                const Nfa::State & state = joint_.nfa.states[s];
                if (++work_ > max_work) {
                    too_large();
                }
                if (state.kind == Nfa::Kind::chars && holds(state.set, cuts_[c])) {
                    close(state.next, false, false, next);
                }
            }
            forget(next);
            const int      target = number(std::move(next));
            const uint32_t last   = c + 1 < cuts_.size() ? cuts_[c + 1] - 1 : max_code;
            auto           it     = std::find_if(targets.begin(), targets.end(), [&](const auto & t) { return t.first == target; });
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

    static bool holds(const CodeSet & set, uint32_t code) {
        auto it = std::upper_bound(set.begin(), set.end(), code, [](uint32_t c, const auto & range) { return c < range.first; });
        return it != set.begin() && code <= std::prev(it)->second;
    }

    Joint                           joint_;
    std::vector<bool>               seen_;
    std::vector<uint32_t>           cuts_;
    std::vector<std::vector<int>>   sets_;
    std::map<std::vector<int>, int> numbers_;
    Dfa                             dfa_;
    size_t                          work_ = 0;
};

// Without the states from which nothing is accepted, numbered in the order of a walk from the start.
Dfa trimmed(const Dfa & dfa) {
    const size_t                  n = dfa.states.size();
    std::vector<std::vector<int>> before(n);
    std::vector<int>              todo;
    std::vector<bool>             useful(n);
    for (size_t i = 0; i < n; i++) {
        for (const Dfa::Edge & edge : dfa.states[i].edges) {
            before[edge.target].push_back(static_cast<int>(i));
        }
        if (dfa.states[i].accepts) {
            useful[i] = true;
            todo.push_back(static_cast<int>(i));
        }
    }
    while (!todo.empty()) {
        const int s = todo.back();
        todo.pop_back();
        for (const int b : before[s]) {
            if (!useful[b]) {
                useful[b] = true;
                todo.push_back(b);
            }
        }
    }
    Dfa out;
    if (n == 0 || !useful[0]) {
        return out;
    }
    std::vector<int> name(n, -1), order = { 0 };
    name[0] = 0;
    for (size_t i = 0; i < order.size(); i++) {
        Dfa::State state;
        state.accepts = dfa.states[order[i]].accepts;
        for (const Dfa::Edge & edge : dfa.states[order[i]].edges) {
            if (!useful[edge.target]) {
                continue;
            }
            if (name[edge.target] < 0) {
                name[edge.target] = static_cast<int>(order.size());
                order.push_back(edge.target);
            }
            state.edges.push_back({ edge.set, name[edge.target] });
        }
        out.states.push_back(std::move(state));
    }
    return out;
}

// The length of the longest accepted text, or npos if there is none such.
size_t longest(const Dfa & dfa) {
    const size_t        n = dfa.states.size();
    std::vector<int>    colour(n);
    std::vector<size_t> length(n), at(n);
    std::vector<int>    path = { 0 };
    while (!path.empty()) {
        const int s = path.back();
        colour[s]   = 1;
        if (at[s] < dfa.states[s].edges.size()) {
            const int t = dfa.states[s].edges[at[s]].target;
            if (colour[t] == 1) {
                return std::string::npos;
            }
            if (colour[t] == 0) {
                path.push_back(t);
                continue;
            }
            length[s] = std::max(length[s], length[t] + 1);
            at[s]++;
        } else {
            colour[s] = 2;
            path.pop_back();
        }
    }
    return length[0];
}

size_t shortest(const Dfa & dfa) {
    std::vector<size_t> distance(dfa.states.size(), std::string::npos);
    std::vector<int>    order = { 0 };
    distance[0]               = 0;
    for (size_t i = 0; i < order.size(); i++) {
        if (dfa.states[order[i]].accepts) {
            return distance[order[i]];
        }
        for (const Dfa::Edge & edge : dfa.states[order[i]].edges) {
            if (distance[edge.target] == std::string::npos) {
                distance[edge.target] = distance[order[i]] + 1;
                order.push_back(edge.target);
            }
        }
    }
    return 0;
}

// The texts of `dfa` with min to max characters.
Dfa counted(const Dfa & dfa, size_t min, size_t max) {
    std::map<std::pair<int, size_t>, int> names;
    std::vector<std::pair<int, size_t>>   order = { { 0, 0 } };
    Dfa                                   out;
    names[{ 0, 0 }] = 0;
    for (size_t i = 0; i < order.size(); i++) {
        const auto [state, length] = order[i];
        Dfa::State next;
        next.accepts = dfa.states[state].accepts && length >= min;
        for (const Dfa::Edge & edge : dfa.states[state].edges) {
            if (length == max) {
                break;
            }
            const auto [it, added] = names.emplace(std::make_pair(edge.target, length + 1), static_cast<int>(order.size()));
            if (added) {
                order.push_back(it->first);
            }
            next.edges.push_back({ edge.set, it->second });
        }
        out.states.push_back(std::move(next));
        if (out.states.size() > 20 * max_counted) {
            too_large();
        }
    }
    out = trimmed(out);
    if (out.states.size() > max_counted) {
        too_large();
    }
    return out;
}

}  // namespace

Dfa build_dfa(const std::vector<PatternUse> & uses, const std::vector<std::string> & excluded, TextLimits limits) {
    Joint joint;
    for (const PatternUse & use : uses) {
        // What must not match fails in one part or another: told by a single part only (negate_own() sees to that).
        for (const Pattern::Part & part : use.pattern->parts()) {
            const bool found = part.positive == use.positive;
            joint.add(part.read(use.exact ? Reading::exact : found ? Reading::within
                                                                   : Reading::around),
                      found);
        }
    }
    if (!excluded.empty()) {
        joint.add(whole_texts(excluded), false);
    }
    Dfa dfa = minimised(trimmed(Determiniser(std::move(joint)).build()));
    if (dfa.states.empty()) {
        return dfa;
    }
    const size_t least = shortest(dfa), most = longest(dfa);
    if (most <= limits.max && least >= limits.min) {
        return dfa;
    }
    const size_t usual = limits.hard ? limits.max : std::min(limits.max, soft_length);
    size_t       max   = std::min(usual, std::max<size_t>(32, max_counted / dfa.states.size()));
    max                = std::min(limits.max, std::max(max, std::max(least, limits.min) + 16));
    return counted(dfa, limits.min, max);
}

Dfa minimised(const Dfa & dfa) {
    const size_t     n = dfa.states.size();
    std::vector<int> group(n);
    size_t           groups = 0;
    for (size_t i = 0; i < n; i++) {
        group[i] = dfa.states[i].accepts;
    }
    // Moore's refinement: states stay together while their edges lead to the same groups.
    while (true) {
        std::map<std::pair<int, std::vector<std::pair<CodeSet, int>>>, int> names;
        std::vector<int>                                                    next(n);
        for (size_t i = 0; i < n; i++) {
            std::map<int, CodeSet> by_group;
            for (const Dfa::Edge & edge : dfa.states[i].edges) {
                CodeSet & set = by_group[group[edge.target]];
                set.insert(set.end(), edge.set.begin(), edge.set.end());
            }
            std::vector<std::pair<CodeSet, int>> edges;
            for (auto & [target, set] : by_group) {
                std::sort(set.begin(), set.end());
                CodeSet joined;
                for (const auto & range : set) {
                    if (!joined.empty() && joined.back().second + 1 == range.first) {
                        joined.back().second = range.second;
                    } else {
                        joined.push_back(range);
                    }
                }
                edges.emplace_back(std::move(joined), target);
            }
            next[i] = names.emplace(std::make_pair(group[i], std::move(edges)), static_cast<int>(names.size())).first->second;
        }
        group = std::move(next);
        if (names.size() == groups) {
            Dfa out;
            out.states.resize(names.size());
            std::vector<bool> done(names.size());
            for (size_t i = 0; i < n; i++) {
                if (done[group[i]]) {
                    continue;
                }
                done[group[i]]     = true;
                Dfa::State & state = out.states[group[i]];
                state.accepts      = dfa.states[i].accepts;
                for (const Dfa::Edge & edge : dfa.states[i].edges) {
                    auto it = std::find_if(state.edges.begin(), state.edges.end(), [&](const Dfa::Edge & e) { return e.target == group[edge.target]; });
                    if (it == state.edges.end()) {
                        state.edges.push_back({ edge.set, group[edge.target] });
                    } else {
                        it->set.insert(it->set.end(), edge.set.begin(), edge.set.end());
                        std::sort(it->set.begin(), it->set.end());
                    }
                }
            }
            return out;
        }
        groups = names.size();
    }
}

}  // namespace luup
