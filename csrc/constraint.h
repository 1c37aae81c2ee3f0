// What an answer is held to, token by token: a grammar, and what a grammar can't say.
#pragma once

#include "grammar.h"
#include "schema.h"

#include "llama.h"

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace luup {

// A model's tokens, as the parts that restrict answers need them. Made once per model, shared.
struct Vocabulary {
    explicit Vocabulary(const llama_vocab * vocab);

    const llama_vocab *              vocab;
    std::shared_ptr<const TokenTrie> trie;
    std::vector<llama_token>         ends;  // end-of-generation tokens, the usual one first

    // The token of exactly this text, or LLAMA_TOKEN_NULL.
    llama_token find(std::string_view text) const;

  private:
    std::unordered_map<std::string_view, llama_token> by_text_;
};

class Constraint {
  public:
    // `markers`: control tokens whose names the grammar has. `guard`: null if the grammar says everything.
    Constraint(std::shared_ptr<const Vocabulary> vocabulary, std::shared_ptr<const Grammar> grammar, const std::vector<llama_token> & markers,
               const std::shared_ptr<const Schema> & guard);

    // The text so far is complete, and nothing more can follow.
    bool can_end() const { return matcher_.can_end(); }
    bool must_end() const { return matcher_.must_end(); }

    // Whether from now on the text may not end even where it could.
    void hide_ends(bool hide = true) { ends_hidden_ = hide; }

    // The text that has to come next, whatever is chosen.
    std::string forced() const { return matcher_.forced(); }

    bool allows(llama_token token) const;

    // All tokens that may come next; false if there are more than `limit`, of which it gives some.
    bool allowed(std::vector<llama_token> & tokens, size_t limit = SIZE_MAX) const;

    // Moves on. Throws Error(LUUP_ERROR_INTERNAL) if the token is not allowed.
    void accept(llama_token token);

    // For a token that is not allowed: the allowed one with the longest beginning of its text, of quotes, brackets and the like only; or
    // LLAMA_TOKEN_NULL. When the model closes something and goes on in the same token, where something else must come, the closing is what counts.
    llama_token beginning_of(llama_token token) const;

    // What a model wants that would choose a token which is not allowed: to end a number that could end here, or to end its answer. What the
    // grammar still allows then, more digits or one more item of a list, is not what it wants.
    enum class Wish { Other,
                      EndNumber,
                      EndAnswer };
    Wish wish(llama_token token) const;
    bool suits(Wish wish, llama_token token) const;

    // False, and nothing moves, if the text does not fit.
    bool accept_text(std::string_view text);

  private:
    struct Marker {
        llama_token token;
        std::string text;
    };

    const Marker * marker(llama_token token) const;
    bool           guard_allows(llama_token token) const;
    bool           can_go_on(Matcher matcher, SchemaGuard guard, size_t & tries) const;

    std::shared_ptr<const Vocabulary> vocabulary_;
    Matcher                           matcher_;
    std::vector<Marker>               markers_;
    std::optional<SchemaGuard>        guard_;
    bool                              ends_hidden_ = false;
};

}  // namespace luup
