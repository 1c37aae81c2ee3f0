#include "schema/dfa.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

namespace luup {

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

std::vector<uint32_t> distances_to_end(const Dfa & dfa) {
    const size_t                  n = dfa.states.size();
    std::vector<std::vector<int>> before(n);
    std::vector<uint32_t>         distance(n, UINT32_MAX);
    std::vector<int>              order;
    for (size_t i = 0; i < n; i++) {
        for (const Dfa::Edge & edge : dfa.states[i].edges) {
            before[edge.target].push_back(static_cast<int>(i));
        }
        if (dfa.states[i].accepts) {
            distance[i] = 0;
            order.push_back(static_cast<int>(i));
        }
    }
    for (size_t i = 0; i < order.size(); i++) {
        for (const int b : before[order[i]]) {
            if (distance[b] == UINT32_MAX) {
                distance[b] = distance[order[i]] + 1;
                order.push_back(b);
            }
        }
    }
    return distance;
}

Dfa counted(const Dfa & dfa, uint64_t min, std::optional<uint64_t> max, size_t most) {
    if (max.value_or(min) * dfa.states.size() > 4 * most) {
        throw DfaTooLarge();
    }
    std::map<std::pair<int, uint64_t>, int> names;
    std::vector<std::pair<int, uint64_t>>   order = { { 0, 0 } };
    Dfa                                     out;
    // Without a maximum, lengths above the minimum are all alike.
    const uint64_t last = max.value_or(min);
    names[{ 0, 0 }]     = 0;
    for (size_t i = 0; i < order.size(); i++) {
        const auto [state, length] = order[i];
        Dfa::State next;
        next.accepts = dfa.states[state].accepts && length >= min;
        for (const Dfa::Edge & edge : dfa.states[state].edges) {
            if (max && length == *max) {
                break;
            }
            const auto [it, added] =
                names.emplace(std::make_pair(edge.target, std::min(length + 1, last)), static_cast<int>(order.size()));
            if (added) {
                order.push_back(it->first);
            }
            next.edges.push_back({ edge.set, it->second });
        }
        out.states.push_back(std::move(next));
    }
    out = trimmed(out);
    if (out.states.size() > most) {
        throw DfaTooLarge();
    }
    return out;
}

Dfa minimised(const Dfa & dfa) {
    const size_t     n = dfa.states.size();
    std::vector<int> group(n);
    size_t           groups = 0;
    for (size_t i = 0; i < n; i++) {
        group[i] = dfa.states[i].accepts;
    }
    // Moore's algorithm: states stay in one group while their edges lead to the same groups.
    while (true) {
        std::map<std::pair<int, std::vector<std::pair<Ranges, int>>>, int> names;
        std::vector<int>                                                   next(n);
        for (size_t i = 0; i < n; i++) {
            std::map<int, Ranges> by_group;
            for (const Dfa::Edge & edge : dfa.states[i].edges) {
                Ranges & set = by_group[group[edge.target]];
                set.insert(set.end(), edge.set.begin(), edge.set.end());
            }
            std::vector<std::pair<Ranges, int>> edges;
            for (auto & [target, set] : by_group) {
                std::sort(set.begin(), set.end());
                Ranges joined;
                for (const auto & range : set) {
                    if (!joined.empty() && joined.back().second + 1 == range.first) {
                        joined.back().second = range.second;
                    } else {
                        joined.push_back(range);
                    }
                }
                edges.emplace_back(std::move(joined), target);
            }
            next[i] =
                names.emplace(std::make_pair(group[i], std::move(edges)), static_cast<int>(names.size())).first->second;
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
                    auto it = std::find_if(state.edges.begin(), state.edges.end(),
                                           [&](const Dfa::Edge & e) { return e.target == group[edge.target]; });
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
