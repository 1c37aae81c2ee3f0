// Holds an answer to a grammar: which tokens may come next. Exact, and fast with large vocabularies.
#pragma once

#include "token_trie.h"

#include "llama.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace luup {

class GrammarStates;

// Immutable, shared by many matchers, from any threads.
class Grammar {
  public:
    // GBNF with a rule `root`; <[123]> and <tok> are tokens of `vocab` (which may be null if there are none). Throws Error(LUUP_ERROR_INVALID_SCHEMA)
    // with a reason if that can't be read, refers to rules or tokens that are not there, is left-recursive, too large, or fits no text.
    static std::shared_ptr<const Grammar> parse(const std::string & gbnf, const llama_vocab * vocab);

  private:
    friend class Matcher;
    struct Parts;

    explicit Grammar(std::unique_ptr<Parts> parts);

    // States with room; never `full`.
    std::shared_ptr<GrammarStates> states(const GrammarStates * full = nullptr) const;

    std::shared_ptr<Parts> parts_;
};

// Follows one answer. Cheap to copy; a copy goes its own way. One thread at a time for each matcher.
//
// Everything that steps can throw Error(LUUP_ERROR_INVALID_SCHEMA) if there are too many ways to read the text; the matcher stays as it was.
class Matcher {
  public:
    Matcher(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> trie);

    // The text so far is a whole sentence of the grammar; and then, nothing can follow.
    bool can_end() const;
    bool must_end() const;

    // Tokens that end the generation are allowed if can_end(); tokens without text only where the grammar names them.
    bool allows(llama_token token) const;

    // Throws Error(LUUP_ERROR_INTERNAL) if the token is not allowed.
    void accept(llama_token token);

    // False, and nothing changes, if the text does not fit.
    bool accept_text(std::string_view text);

    // All allowed tokens but those that end the generation, in no order. Stops at more than `limit`: false then.
    bool allowed(std::vector<llama_token> & tokens, size_t limit = SIZE_MAX) const;

    // The longest text that must come next, whatever is chosen: "" if there is a choice or the text can end here. At most 256 bytes, whole characters.
    std::string forced() const;

  private:
    class Walk;

    uint32_t after(llama_token token) const;
    bool     add_literals(Walk & walk) const;
    void     leave_full_states();

    std::shared_ptr<const Grammar>   grammar_;
    std::shared_ptr<const TokenTrie> trie_;
    std::shared_ptr<GrammarStates>   states_;
    uint32_t                         state_;
};

}  // namespace luup
