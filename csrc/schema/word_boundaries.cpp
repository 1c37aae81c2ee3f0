#include "schema/word_boundaries.h"

#include "schema/limits.h"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

namespace luup {

namespace {

// The kind of the character before a place, and the demands on the one after it.
enum class Before { other, word, unclear };
enum After : unsigned { anything = 0, word = 1, other = 2 };

Ranges all() {
    return { { 0, last_code_point } };
}

// Each state becomes one for each kind of character before it and each demand on the next one.
class BoundaryRemover {
  public:
    BoundaryRemover(const Nfa & nfa, Reading reading)
        : nfa_(nfa), reading_(reading), word_(shorthand('w', reading)), other_(shorthand('W', reading)) {
        const Reading sure = reading == Reading::exact ? Reading::exact : Reading::within;
        kinds_[0]          = shorthand('W', sure);
        kinds_[1]          = shorthand('w', sure);
        Ranges known       = kinds_[0];
        known.insert(known.end(), kinds_[1].begin(), kinds_[1].end());
        kinds_[2] = invert_ranges(merge_ranges(std::move(known)), last_code_point);
    }

    Nfa run() {
        match_     = add(Nfa::State::match());
        out_.start = place(nfa_.start, Before::other, anything);
        while (!todo_.empty()) {
            const auto [id, at] = todo_.back();
            todo_.pop_back();
            // Not in one statement: fill() adds states.
            Nfa::State state = fill(at);
            out_.states[id]  = std::move(state);
        }
        return std::move(out_);
    }

  private:
    struct Place {
        int      state;
        Before   before;
        unsigned after;

        bool operator<(const Place & o) const {
            return std::tie(state, before, after) < std::tie(o.state, o.before, o.after);
        }
    };

    int add(Nfa::State state) {
        if (out_.states.size() >= schema_limits::nfa_states) {
            throw std::invalid_argument("it is too large");
        }
        out_.states.push_back(std::move(state));
        return static_cast<int>(out_.states.size()) - 1;
    }

    int place(int state, Before before, unsigned after) {
        if (state < 0) {
            return -1;
        }
        const Place at{ state, before, after };
        const auto  known = ids_.find(at);
        if (known != ids_.end()) {
            return known->second;
        }
        const int id = after == anything && nfa_.states[state].kind == Nfa::Kind::match ? match_ : add(dead());
        ids_.emplace(at, id);
        if (id != match_) {
            todo_.emplace_back(id, at);
        }
        return id;
    }

    static Nfa::State dead() { return Nfa::State::chars({}, -1); }

    Ranges allowed(unsigned after) const {
        return intersect_ranges(after & word ? word_ : all(), after & other ? other_ : all());
    }

    Nfa::State fill(const Place & at) {
        const Nfa::State & state = nfa_.states[at.state];
        switch (state.kind) {
            case Nfa::Kind::split:
                return Nfa::State::split(place(state.next, at.before, at.after),
                                         place(state.other, at.before, at.after));
            case Nfa::Kind::begin: return Nfa::State::begin(place(state.next, at.before, at.after));
            case Nfa::Kind::end:  // counts as a character of no word
                return at.after & word ? dead() : Nfa::State::end(place(state.next, at.before, anything));
            case Nfa::Kind::match: return matched(at.after);
            case Nfa::Kind::boundary: return boundary(state, at, true);
            case Nfa::Kind::no_boundary: return boundary(state, at, false);
            case Nfa::Kind::chars: return chars(state, at);
        }
        return dead();
    }

    // The text matches if the next character is as demanded.
    Nfa::State matched(unsigned after) {
        Nfa::State read = Nfa::State::chars(allowed(after), match_);
        if (after & word) {
            return read;
        }
        const int reading = add(std::move(read));
        return Nfa::State::split(reading, add(Nfa::State::end(match_)));
    }

    Nfa::State boundary(const Nfa::State & state, const Place & at, bool differs) {
        unsigned after = at.after;
        if (at.before == Before::unclear) {
            if (reading_ == Reading::within) {
                return dead();
            }
        } else {
            after |= (at.before == Before::word) == differs ? other : word;
        }
        return Nfa::State::split(place(state.next, at.before, after), -1);
    }

    Nfa::State chars(const Nfa::State & state, const Place & at) {
        const Ranges     set = intersect_ranges(state.set, allowed(at.after));
        std::vector<int> choices;
        for (const Before kind : { Before::other, Before::word, Before::unclear }) {
            Ranges part = intersect_ranges(set, kinds_[static_cast<int>(kind)]);
            if (!part.empty()) {
                choices.push_back(add(Nfa::State::chars(std::move(part), place(state.next, kind, anything))));
            }
        }
        choices.resize(3, -1);
        const int rest = choices[2] < 0 ? choices[1] : add(Nfa::State::split(choices[1], choices[2]));
        return Nfa::State::split(choices[0], rest);
    }

    const Nfa &                        nfa_;
    const Reading                      reading_;
    const Ranges                       word_, other_;  // that may be, or must be
    Ranges                             kinds_[3];      // by Before
    Nfa                                out_;
    int                                match_ = 0;
    std::map<Place, int>               ids_;
    std::vector<std::pair<int, Place>> todo_;
};

}  // namespace

Nfa without_boundaries(const Nfa & nfa, Reading reading) {
    const bool any = std::any_of(nfa.states.begin(), nfa.states.end(), [](const Nfa::State & state) {
        return state.kind == Nfa::Kind::boundary || state.kind == Nfa::Kind::no_boundary;
    });
    return any ? BoundaryRemover(nfa, reading).run() : nfa;
}

}  // namespace luup
