// Sets of characters, and automata that recognise one character of a set by its UTF-8 bytes.
#pragma once

#include "ranges.h"

#include <array>
#include <cstdint>
#include <map>
#include <vector>

namespace luup {

// Inclusive ranges of code points: sorted, apart from each other, without U+0000 (no text has it) and surrogates.
class CharSet {
  public:
    CharSet() = default;

    // Any ranges, in any order; those of `inverse` are left out of all characters instead.
    explicit CharSet(Ranges ranges, bool inverse = false);

    const Ranges & ranges() const { return ranges_; }

    bool contains(const CharSet & other) const;
    bool operator<(const CharSet & other) const { return ranges_ < other.ranges_; }

  private:
    Ranges ranges_;
};

// Sorts of characters, as bits: each punctuation mark is one, and so are letters, digits, and all that is not ASCII. Coarse, but the sorts that
// a set has in full tell quickly that a text fits it, whatever the text is.
using CharKinds = uint64_t;

CharKinds kind_of(uint32_t code_point);  // 0 for U+0000
CharKinds whole_kinds(const CharSet & set);    // those of which it has all characters
CharKinds touched_kinds(const CharSet & set);  // those of which it has some

// One automaton for many sets. A node is where one stands inside a character; a set is named by its first node.
class ByteAutomaton {
  public:
    static constexpr uint32_t dead  = 0;
    static constexpr uint32_t whole = 1;  // the character is complete and in the set

    ByteAutomaton();

    // The node before the first byte.
    uint32_t add(const CharSet & set);

    uint32_t next(uint32_t node, uint8_t byte) const { return nodes_[node][byte]; }
    uint32_t size() const { return static_cast<uint32_t>(nodes_.size()); }

  private:
    using Node = std::array<uint32_t, 256>;

    uint32_t intern(const Node & node);
    uint32_t continuation(const CharSet & set, uint32_t low, int bytes);

    std::vector<Node>           nodes_;
    std::map<Node, uint32_t>    ids_;
    std::map<CharSet, uint32_t> roots_;
};

}  // namespace luup
