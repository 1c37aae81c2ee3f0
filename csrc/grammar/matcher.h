// Matches an answer against a grammar: which tokens may come next. Exact, and fast with large vocabularies.
#pragma once

#include "grammar/grammar.h"
#include "tokens/token_trie.h"

#include "llama.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace luup {

class GrammarStates;

// Follows one answer. Cheap to copy; copies are independent. Use a matcher from one thread at a time.
//
// Methods that look ahead or move on throw Error(LUUP_ERROR_INVALID_SCHEMA) if the grammar is too ambiguous; the
// matcher keeps its state then.
class Matcher {
  public:
    Matcher(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> trie);

    // Whether the text so far is complete.
    bool can_end() const;

    // Whether it is complete and nothing can follow.
    bool must_end() const;

    // End-of-generation tokens are allowed if can_end(), tokens without text only where the grammar names them.
    bool allows(llama_token token) const;

    // Throws Error(LUUP_ERROR_INTERNAL) if the token is not allowed.
    void accept(llama_token token);

    // Returns false, and changes nothing, if the text does not match.
    bool accept_text(std::string_view text);

    // Lists the allowed tokens except those that end the generation, in no particular order. Returns false if there are
    // more than `limit`; then it lists only some.
    bool allowed(std::vector<llama_token> & tokens, size_t limit = SIZE_MAX) const;

    // Returns a number of the place in the grammar: the same texts can follow wherever it is the same. Where the
    // grammar counts, the place changes with each repetition. One place may have several numbers.
    uint64_t place() const;

    // Returns the longest text that must come next: "" if there is a choice or the text can end here. At most 256
    // bytes, whole characters.
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
