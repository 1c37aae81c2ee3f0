// Whether a grammar allows a text, by llama.cpp's parser and matcher.
#pragma once

#include "base/text.h"
#include "check.h"

#include "llama-grammar.h"

#include <cstdint>
#include <string>

// Whether a grammar allows a whole text.
class Recogniser {
  public:
    explicit Recogniser(const std::string & grammar)
        : grammar_(llama_grammar_init_impl(nullptr, grammar.c_str(), "root", false, nullptr, 0, nullptr, 0)) {
        CHECK(grammar_);
    }

    ~Recogniser() { llama_grammar_free_impl(grammar_); }

    bool allows(const std::string & text) {
        llama_grammar_stacks &     stacks = llama_grammar_get_stacks(grammar_);
        const llama_grammar_stacks start  = stacks;
        bool                       open   = true;
        for (const uint32_t code : luup::code_points(text)) {
            llama_grammar_accept(grammar_, code);
            open = !stacks.empty();
            if (!open) {
                break;
            }
        }
        bool whole = false;
        for (const auto & stack : stacks) {
            whole = whole || stack.empty();
        }
        stacks = start;
        return open && whole;
    }

  private:
    llama_grammar * grammar_;
};
