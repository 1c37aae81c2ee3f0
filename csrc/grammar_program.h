// A grammar as the matcher runs it: one graph of small steps for all rules, over bytes.
#pragma once

#include "gbnf.h"

#include "llama.h"

#include <array>
#include <cstdint>
#include <vector>

namespace luup {

struct GrammarProgram {
    enum class Op : uint8_t { ret,      // the rule is complete
                              chars,    // one character, whose bytes `arg`, a node of the byte automaton, knows
                              literal,  // the token literals[arg]
                              call,     // the rule that starts at rule_start[arg]
                              split };  // either `next` or `arg`

    struct Node {
        Op       op;
        uint32_t arg;
        uint32_t next;
    };

    struct Literal {
        llama_token token;
        bool        inverse;  // any other token with text
    };

    static constexpr uint32_t ret_node = 1;  // node 0 is none

    std::vector<Node>     nodes;
    std::vector<uint32_t> rule_start;
    std::vector<Literal>  literals;
    std::vector<uint8_t>  productive;  // of each node: some text leads from there to the end of its rule
    uint32_t              root = 0;    // the node at which a text starts

    // The byte automaton; bytes that no node tells apart are one class.
    std::array<uint8_t, 256> byte_class{};
    uint32_t                 classes = 0;
    std::vector<uint32_t>    automaton;   // the node after [node * classes + class]
    std::vector<int16_t>     only_byte;   // of each node: the one byte that can follow, or -1
    std::vector<uint8_t>     is_first;    // of each node: it stands before a character, not inside one
    std::vector<CharKinds>   whole_kinds;        // of each node before a character: the sorts of which any one fits
    std::vector<CharKinds>   touched_kinds;  // and those of which some do
};

// Throws Error(LUUP_ERROR_INVALID_SCHEMA) if the grammar is left-recursive, too large, or has no text at all.
GrammarProgram compile_grammar(const Gbnf & gbnf);

}  // namespace luup
