// A compiled grammar: the graph of the steps of all rules, and an automaton over the bytes of characters.
#pragma once

#include "tokens/charset.h"

#include "llama.h"

#include <array>
#include <cstdint>
#include <vector>

namespace luup {

struct GrammarProgram {
    enum class Op : uint8_t {
        ret,      // the rule is complete
        chars,    // one character; `arg` is its first node in the byte automaton
        literal,  // the token literals[arg]
        call,     // the rule that starts at rule_start[arg]
        split,    // continue with `next` or with `arg`
    };

    struct Node {
        Op       op;
        uint32_t arg;
        uint32_t next;
    };

    struct Literal {
        llama_token token;
        bool        inverse;  // any other token with text
    };

    static constexpr uint32_t ret_node = 1;  // node 0 means "no node"

    std::vector<Node>     nodes;
    std::vector<uint32_t> rule_start;
    std::vector<Literal>  literals;
    std::vector<uint8_t>  productive;  // of each node: whether some text leads from there to the end of its rule
    uint32_t              root = 0;    // the node at which a text starts

    // The byte automaton. Bytes that lead to the same nodes everywhere form a class.
    std::array<uint8_t, 256> byte_class{};
    uint32_t                 classes = 0;
    std::vector<uint32_t>    automaton;      // the node after [node * classes + class]
    std::vector<int16_t>     only_byte;      // of each node: the only byte that can follow, or -1
    std::vector<uint8_t>     is_first;       // of each node: whether it is before a character, not inside one
    std::vector<CharKinds>   whole_kinds;    // of each first node: the kinds of which all characters match
    std::vector<CharKinds>   touched_kinds;  // of each first node: the kinds of which some characters match
};

}  // namespace luup
