// Names of grammar rules. llama.cpp makes them with std::regex, which recurses once per character: a tool's property
// with 35,000 letters of a foreign alphabet overflows the stack. grammar_names.patch calls rule_name() instead.
#pragma once

#include "template_limits.h"

#include <string>

namespace luup_grammar {

// Return `name` with each run of characters other than letters, digits and "-" replaced by one "-".
inline std::string rule_name(const std::string & name) {
    luup_template::work_on(name.size());
    std::string out;
    bool        replaced = false;
    for (const char c : name) {
        const bool kept = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
        if (kept || !replaced) {
            out += kept ? c : '-';
        }
        replaced = !kept;
    }
    return out;
}

}  // namespace luup_grammar
