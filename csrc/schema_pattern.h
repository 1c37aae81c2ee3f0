// Regular expressions of JSON Schema (ECMA-262 without look-around, back references and word boundaries), matched without backtracking and
// turned into automata that a grammar can follow.
#pragma once

#include "ranges.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace luup {

// Merged ranges.
using CodeSet = Ranges;

// The code points of `text`, which is valid UTF-8.
std::vector<uint32_t> code_points(std::string_view text);
size_t                count_code_points(std::string_view text);

// ECMA-262, Python and Rust differ in what \d, \w, \s, `.` and `$` match. `exact` is ECMA-262, `within` matches what all of them match
// and `around` what any does: strings to be generated are within a pattern, or not around one that they must not match.
enum class Reading { exact,
                     within,
                     around };

// A Thompson automaton for "occurs somewhere in the text".
struct Nfa {
    enum class Kind { chars,
                      split,
                      begin,
                      end,
                      match };
    struct State {
        Kind    kind;
        CodeSet set;  // of chars
        int     next  = -1;
        int     other = -1;  // of split
    };
    std::vector<State> states;
    int                start = 0;
};

class Pattern {
  public:
    // Throws std::invalid_argument with what is wrong or can't be translated.
    explicit Pattern(const std::string & source);

    const std::string & source() const { return source_; }

    // Whether the pattern occurs in `text`, as ECMA-262 reads it.
    bool search(std::string_view text) const;

    // The pattern is all of these (or none, where not positive) at once: look-ahead at its start is a part of its own.
    struct Part {
        Nfa  exact, within, around;
        bool positive;

        const Nfa & read(Reading reading) const { return reading == Reading::exact ? exact : reading == Reading::within ? within
                                                                                                                        : around; }
    };

    const std::vector<Part> & parts() const { return parts_; }

  private:
    void add_part(std::vector<uint32_t> text, bool positive);

    std::string       source_;
    std::vector<Part> parts_;
};

// What a string must be: every pattern found (or not), none of the excluded texts, a length in code points.
struct PatternUse {
    std::shared_ptr<const Pattern> pattern;
    bool                           positive;
    bool                           exact = false;  // our own patterns mean one thing only
};

struct TextLimits {
    size_t min  = 0;
    size_t max  = 0;
    bool   hard = false;  // max was asked for; otherwise it may be lowered to keep the automaton small
};

// A trimmed deterministic automaton: every state lies on a way from state 0 to an accepting one. Empty if nothing is accepted.
struct Dfa {
    struct Edge {
        CodeSet set;
        int     target;
    };
    struct State {
        std::vector<Edge> edges;
        bool              accepts = false;
    };
    std::vector<State> states;
};

// The automaton of the strings that fulfil all `uses`, with a length within `limits`. Throws std::length_error if it would be too large.
Dfa build_dfa(const std::vector<PatternUse> & uses, const std::vector<std::string> & excluded, TextLimits limits);

// Merges states that can't be told apart.
Dfa minimised(const Dfa & dfa);

}  // namespace luup
