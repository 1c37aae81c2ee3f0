// Sets of characters, and an automaton that recognises a character of a set by its UTF-8 bytes.
#pragma once

#include "base/ranges.h"

#include <array>
#include <cstdint>
#include <map>
#include <vector>

namespace luup {

// Sorted, non-adjacent ranges of code points, without surrogates and U+0000 (no text contains it).
class CharSet {
  public:
    CharSet() = default;

    // Takes ranges in any order. With `inverse`, the set is their complement.
    explicit CharSet(Ranges ranges, bool inverse = false);

    const Ranges & ranges() const { return ranges_; }

    bool contains(const CharSet & other) const;
    bool operator<(const CharSet & other) const { return ranges_ < other.ranges_; }

  private:
    Ranges ranges_;
};

// Kinds of characters as bits: each punctuation mark is a kind, and so are groups of letters, the digits, and all
// non-ASCII characters. If a set contains whole kinds, then every text of these kinds matches it, without a look at
// the characters.
using CharKinds = uint64_t;

// Returns the kind of a character, 0 for U+0000.
CharKinds kind_of(uint32_t code_point);

// Return the kinds of which a set contains all characters, or at least one.
CharKinds whole_kinds(const CharSet & set);
CharKinds touched_kinds(const CharSet & set);

// One automaton for many sets. A node is a position inside a character; a set is identified by its first node.
class ByteAutomaton {
  public:
    static constexpr uint32_t dead  = 0;
    static constexpr uint32_t whole = 1;  // the character is complete and in the set

    ByteAutomaton();

    // Adds a set and returns its first node.
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
