// The regular expressions of a schema, matched without backtracking.
#pragma once

#include "schema/char_sets.h"
#include "schema/nfa.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace luup {

class Pattern {
  public:
    // Where a text has to match: anywhere, or from its beginning to its end.
    enum class Extent { Anywhere, Whole };

    // Throws std::invalid_argument with the reason if the expression is wrong or not supported.
    explicit Pattern(const std::string & source, Extent extent = Extent::Anywhere);

    // The expression; with Extent::Whole with its anchors.
    const std::string & source() const { return source_; }

    // Whether the pattern occurs in `text`, by the rules of ECMA-262.
    bool search(std::string_view text) const;

    // A look-ahead at the start of the expression becomes a part of its own. A text matches the pattern if it matches
    // all parts that are positive and none of the others.
    struct Part {
        Nfa  exact, within, around;
        bool positive;

        const Nfa & read(Reading reading) const {
            return reading == Reading::exact ? exact : reading == Reading::within ? within : around;
        }
    };

    const std::vector<Part> & parts() const { return parts_; }

  private:
    void add_part(std::vector<uint32_t> text, bool positive);

    std::string       source_;
    std::vector<Part> parts_;
};

}  // namespace luup
