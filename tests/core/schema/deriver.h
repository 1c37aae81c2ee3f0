// Texts that a grammar allows.
#pragma once

#include "check.h"

#include "llama-grammar.h"

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

// Derives texts from a grammar at random; past a length it takes the shortest
// way to an end.
class Deriver {
  public:
    Deriver(const std::string & grammar, uint32_t seed) : random_(seed) {
        CHECK(parser_.parse(grammar.c_str()));
        for (const llama_grammar_rule & rule : parser_.rules) {
            alternatives_.emplace_back();
            for (size_t begin = 0, i = 0; i < rule.size(); i++) {
                if (rule[i].type == LLAMA_GRETYPE_ALT || rule[i].type == LLAMA_GRETYPE_END) {
                    alternatives_.back().emplace_back(begin, i);
                    begin = i + 1;
                }
            }
        }
        least_.assign(parser_.rules.size(), endless);
        for (bool changed = true; changed;) {
            changed = false;
            for (size_t r = 0; r < alternatives_.size(); r++) {
                for (const auto & a : alternatives_[r]) {
                    const size_t n = length(r, a);
                    changed        = changed || n < least_[r];
                    least_[r]      = std::min(least_[r], n);
                }
            }
        }
    }

    std::string text() {
        const size_t limit = 20 + random_() % 300;
        std::string  out;
        todo_.clear();
        enter(parser_.symbol_ids.at("root"), false);
        while (!todo_.empty()) {
            auto & [r, range] = todo_.back();
            if (range.first == range.second) {
                todo_.pop_back();
                continue;
            }
            const llama_grammar_rule & rule = parser_.rules[r];
            if (rule[range.first].type == LLAMA_GRETYPE_RULE_REF) {
                enter(rule[range.first++].value, out.size() > limit);
            } else {
                out += character(rule, range);
            }
        }
        return out;
    }

  private:
    using Range = std::pair<size_t, size_t>;

    static constexpr size_t endless = size_t(1) << 40;

    size_t length(size_t r, Range range) const {
        size_t n = 0;
        for (size_t i = range.first; i < range.second; i++) {
            const llama_grammar_element & e = parser_.rules[r][i];
            n += e.type == LLAMA_GRETYPE_RULE_REF ? least_[e.value] : e.type == LLAMA_GRETYPE_CHAR;
        }
        return std::min(n, endless);
    }

    void enter(uint32_t r, bool shortest) {
        std::vector<Range> possible;
        for (const Range & a : alternatives_[r]) {
            if (length(r, a) < endless) {
                possible.push_back(a);
            }
        }
        CHECK(!possible.empty());
        Range chosen = possible[random_() % possible.size()];
        for (const Range & a : possible) {
            chosen = shortest && length(r, a) < length(r, chosen) ? a : chosen;
        }
        todo_.emplace_back(r, chosen);
    }

    std::string character(const llama_grammar_rule & rule, Range & range) {
        std::vector<std::pair<uint32_t, uint32_t>> all;
        CHECK(rule[range.first].type == LLAMA_GRETYPE_CHAR);
        do {
            const uint32_t low = rule[range.first++].value;
            const bool     to  = range.first < range.second && rule[range.first].type == LLAMA_GRETYPE_CHAR_RNG_UPPER;
            all.emplace_back(low, to ? rule[range.first++].value : low);
        } while (range.first < range.second && rule[range.first].type == LLAMA_GRETYPE_CHAR_ALT);
        const auto & [low, high] = all[random_() % all.size()];
        return utf8(low + random_() % std::min<uint32_t>(high - low + 1, random_() % 8 ? 0x300 : 0x110000));
    }

    llama_grammar_parser                  parser_;
    std::mt19937                          random_;
    std::vector<std::vector<Range>>       alternatives_;
    std::vector<size_t>                   least_;
    std::vector<std::pair<size_t, Range>> todo_;
};
