// A grammar in GBNF, compiled and shared by the answers that follow it.
#pragma once

#include "llama.h"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace luup {

class GrammarStates;

// Immutable: matchers in any thread may share it.
class Grammar {
  public:
    // Compiles GBNF with a rule `root`. <[123]> and <tok> are tokens of `vocab`, which may be null if there are none.
    // Throws Error(LUUP_ERROR_INVALID_SCHEMA) if the text is not GBNF, refers to unknown rules or tokens, is
    // left-recursive, too large, or matches no text.
    static std::shared_ptr<const Grammar> parse(const std::string & gbnf, const llama_vocab * vocab);

    // Whether the whole of `text` follows the grammar. Throws Error(LUUP_ERROR_INVALID_SCHEMA) if the grammar is too
    // ambiguous.
    bool matches(std::string_view text) const;

  private:
    friend class Matcher;
    struct Parts;

    explicit Grammar(std::unique_ptr<Parts> parts);

    // Returns the current states, or new ones if these are `full` or use too much memory.
    std::shared_ptr<GrammarStates> states(const GrammarStates * full = nullptr) const;

    std::shared_ptr<Parts> parts_;
};

}  // namespace luup
