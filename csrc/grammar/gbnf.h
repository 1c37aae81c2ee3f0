// GBNF, llama.cpp's notation for grammars, parsed to trees.
#pragma once

#include "tokens/charset.h"

#include "llama.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace luup {

struct GbnfItem;
using GbnfSequence = std::vector<GbnfItem>;
using GbnfChoice   = std::vector<GbnfSequence>;

struct GbnfItem {
    enum class Kind {
        chars,      // one character of the set `value`
        token,      // the token `value`
        not_token,  // any token with text but `value`
        rule,       // the rule `value`
        group,      // `body`
    };

    static constexpr uint32_t no_max = UINT32_MAX;

    Kind       kind  = Kind::group;
    uint32_t   value = 0;
    uint32_t   min   = 1;  // repetitions
    uint32_t   max   = 1;
    GbnfChoice body;
};

struct GbnfRule {
    std::string name;
    bool        defined = false;
    GbnfChoice  body;
};

struct Gbnf {
    std::vector<GbnfRule> rules;
    std::vector<CharSet>  sets;
    uint32_t              root = 0;  // the index of the rule `root`
};

// Throws Error(LUUP_ERROR_INVALID_SCHEMA) with the line if the text is not GBNF, has no rule `root`, or refers to
// unknown rules or tokens.
Gbnf parse_gbnf(const std::string & text, const llama_vocab * vocab);

}  // namespace luup
