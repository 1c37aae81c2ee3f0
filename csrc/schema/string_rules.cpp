#include "schema/string_rules.h"

#include "schema/rule_text.h"

#include <algorithm>
#include <utility>

namespace luup {

namespace {

constexpr size_t few_texts  = 16;   // alternatives that need no tree
constexpr size_t max_tree   = 100;  // levels
constexpr size_t long_class = 24;   // bytes from which a class becomes a rule of its own

const char character[] =
    "[\\x20-\\x21\\x23-\\x5B\\x5D-\\x7E\\u00A0-\\uD7FF\\uE000-\\U0010FFFF] | \"\\\\\" [\\x22\\x5C/bfnrt]";

}  // namespace

std::string StringRules::string(const StringPlan & plan) {
    if (!plan.dfa) {
        const std::string body = rules_.repeat(rules_.shared(character), plan.min, plan.max);
        return "\"\\\"\" " + body + (body.empty() ? "" : " ") + "\"\\\"\"";
    }
    const auto known = dfas_.find(plan.dfa.get());
    if (known != dfas_.end()) {
        return known->second;
    }
    return dfas_[plan.dfa.get()] = "\"\\\"\" " + automaton(*plan.dfa, "\"\\\"\"", json_characters);
}

std::string StringRules::plain(const Dfa & dfa) {
    return automaton(dfa, "\"\"", text_characters);
}

// One rule per state: the matcher follows a single path. `end` is the rule of what follows the text.
std::string StringRules::automaton(const Dfa & dfa, const std::string & end, Characters characters) {
    std::vector<std::string> names;
    for (size_t i = 0; i < dfa.states.size(); i++) {
        names.push_back(rules_.fresh());
    }
    for (size_t i = 0; i < dfa.states.size(); i++) {
        std::vector<std::string> all;
        if (dfa.states[i].accepts) {
            all.push_back(end);
        }
        for (const Dfa::Edge & edge : dfa.states[i].edges) {
            for (const std::string & c : characters(edge.set)) {
                all.push_back((c.size() > long_class ? rules_.shared(c) : c) + " " + names[edge.target]);
            }
        }
        // A set of surrogates and NUL only: a class without characters.
        rules_.add(names[i], all.empty() ? "[^\\x00-\\U0010FFFF]" : choice(all));
    }
    return names[0];
}

std::string StringRules::constants(const std::vector<Json> & values) {
    std::vector<std::string> texts;
    for (const Json & v : values) {
        texts.push_back(v.dump());
    }
    return this->texts(std::move(texts));
}

std::string StringRules::texts(std::vector<std::string> texts) {
    if (texts.size() > few_texts) {
        std::sort(texts.begin(), texts.end());
        return tree(texts, 0, texts.size(), 0, 0);
    }
    for (std::string & t : texts) {
        t = literal(t);
    }
    return choice(texts);
}

// Alternatives for sorted texts that share their first `from` bytes, as a prefix tree: the matcher follows few paths at
// a time.
std::string StringRules::tree(const std::vector<std::string> & texts, size_t begin, size_t end, size_t from,
                              size_t depth) {
    std::vector<std::string> all;
    for (size_t i = begin; i < end;) {
        if (texts[i].size() == from) {
            all.push_back("\"\"");
            i++;
            continue;
        }
        size_t last = i + 1;
        while (last < end && texts[last].size() > from && texts[last][from] == texts[i][from]) {
            last++;
        }
        size_t to = texts[i].size();
        for (size_t k = i + 1; k < last; k++) {
            to = std::min(to,
                          static_cast<size_t>(
                              std::mismatch(texts[i].begin(), texts[i].end(), texts[k].begin(), texts[k].end()).first -
                              texts[i].begin()));
        }
        // Don't split a character.
        while (to < texts[i].size() && to > from && (static_cast<unsigned char>(texts[i][to]) & 0xC0) == 0x80) {
            to--;
        }
        if (to == from || depth > max_tree) {
            for (size_t k = i; k < last; k++) {
                all.push_back(literal(texts[k].substr(from)));
            }
        } else {
            const std::string head = literal(texts[i].substr(from, to - from));
            all.push_back(last - i == 1 ? head : head + " " + rules_.shared(tree(texts, i, last, to, depth + 1)));
        }
        i = last;
    }
    return choice(all);
}

}  // namespace luup
