#include "schema/nfa.h"

#include "schema/limits.h"

#include <algorithm>
#include <stdexcept>

namespace luup {

namespace {

class NfaBuilder {
  public:
    Nfa build(const Regex & tree) {
        const int match         = add(Nfa::State::match());
        const int body          = compile(tree, match);
        const int loop          = add(Nfa::State::split(body, -1));
        const int any           = add(Nfa::State::chars({ { 0, last_code_point } }, loop));
        nfa_.states[loop].other = any;
        nfa_.start              = loop;
        return std::move(nfa_);
    }

  private:
    int add(Nfa::State state) {
        if (nfa_.states.size() >= schema_limits::nfa_states) {
            throw std::invalid_argument("it is too large");
        }
        nfa_.states.push_back(std::move(state));
        return static_cast<int>(nfa_.states.size()) - 1;
    }

    // Returns the state from which `tree` leads to `next`.
    int compile(const Regex & tree, int next) {
        switch (tree.kind) {
            case Regex::Kind::chars: return add(Nfa::State::chars(tree.set, next));
            case Regex::Kind::begin: return add(Nfa::State::begin(next));
            case Regex::Kind::end: return add(Nfa::State::end(next));
            case Regex::Kind::boundary: return add(Nfa::State::boundary(next));
            case Regex::Kind::no_boundary: return add(Nfa::State::no_boundary(next));
            case Regex::Kind::sequence:
                for (size_t i = tree.parts.size(); i-- > 0;) {
                    next = compile(*tree.parts[i], next);
                }
                return next;
            case Regex::Kind::choice: {
                int all = compile(*tree.parts.back(), next);
                for (size_t i = tree.parts.size() - 1; i-- > 0;) {
                    all = add(Nfa::State::split(compile(*tree.parts[i], next), all));
                }
                return all;
            }
            case Regex::Kind::repeat: return repeat(tree, next);
        }
        return next;
    }

    int repeat(const Regex & tree, int next) {
        const Regex & unit = *tree.parts[0];
        int           tail = next;
        if (tree.max == Regex::no_maximum) {
            tail                   = add(Nfa::State::split(-1, next));
            const int body         = compile(unit, tail);
            nfa_.states[tail].next = body;
        } else {
            for (uint64_t i = tree.min; i < tree.max; i++) {
                tail = add(Nfa::State::split(compile(unit, tail), next));
            }
        }
        for (uint64_t i = 0; i < tree.min; i++) {
            tail = compile(unit, tail);
        }
        return tail;
    }

    Nfa nfa_;
};

// Adds the states that can be reached from `from` without reading a character.
void add_closure(const Nfa & nfa, int from, bool at_begin, bool at_end, std::vector<bool> & seen,
                 std::vector<int> & out) {
    std::vector<int> todo = { from };
    while (!todo.empty()) {
        const int s = todo.back();
        todo.pop_back();
        if (s < 0 || seen[s]) {
            continue;
        }
        seen[s]                  = true;
        const Nfa::State & state = nfa.states[s];
        out.push_back(s);
        if (state.kind == Nfa::Kind::split) {
            todo.push_back(state.next);
            todo.push_back(state.other);
        } else if ((state.kind == Nfa::Kind::begin && at_begin) || (state.kind == Nfa::Kind::end && at_end)) {
            todo.push_back(state.next);
        }
    }
}

}  // namespace

Nfa build_nfa(const Regex & regex) {
    return NfaBuilder().build(regex);
}

bool search(const Nfa & nfa, const std::vector<uint32_t> & codes) {
    std::vector<int>  now;
    std::vector<bool> seen(nfa.states.size());
    add_closure(nfa, nfa.start, true, codes.empty(), seen, now);
    for (size_t i = 0; i < codes.size(); i++) {
        std::vector<int> next;
        std::fill(seen.begin(), seen.end(), false);
        for (const int s : now) {
            if (nfa.states[s].kind == Nfa::Kind::match) {
                return true;
            }
            if (nfa.states[s].kind == Nfa::Kind::chars && contains(nfa.states[s].set, codes[i])) {
                add_closure(nfa, nfa.states[s].next, false, i + 1 == codes.size(), seen, next);
            }
        }
        now = std::move(next);
    }
    return std::any_of(now.begin(), now.end(), [&](int s) { return nfa.states[s].kind == Nfa::Kind::match; });
}

}  // namespace luup
