// The constraint that an answer must satisfy token by token: a grammar, and a guard for what no grammar can express.
#pragma once

#include "grammar/grammar.h"
#include "grammar/matcher.h"
#include "schema/guard.h"
#include "schema/schema.h"
#include "tokens/vocabulary.h"

#include "llama.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace luup {

class Constraint {
  public:
    // `markers` are control tokens whose names the grammar contains. `guard` is the schema of the answer, or null.
    Constraint(std::shared_ptr<const Vocabulary> vocabulary, std::shared_ptr<const Grammar> grammar,
               const std::vector<llama_token> & markers, const std::shared_ptr<const Schema> & guard);

    // Whether the text so far is complete.
    bool can_end() const { return matcher_.can_end(); }

    // Whether it is complete and nothing more can follow.
    bool must_end() const { return matcher_.must_end(); }

    // Sets whether end-of-generation tokens are refused even where the text is complete.
    void hide_ends(bool hide = true) { ends_hidden_ = hide; }

    // Returns a number of the place in the grammar (see Matcher).
    uint64_t place() const { return matcher_.place(); }

    // Returns the text that must come next whatever token is sampled; "" if there is a choice.
    std::string forced() const { return matcher_.forced(); }

    bool allows(llama_token token) const;

    // Lists the tokens that may come next. Returns false if there are more than `limit`; then it lists only some.
    bool allowed(std::vector<llama_token> & tokens, size_t limit = SIZE_MAX) const;

    // Appends a token to the text. Throws Error(LUUP_ERROR_INTERNAL) if it is not allowed.
    void accept(llama_token token);

    // For a token that is not allowed, returns the allowed token with the longest beginning of its text, as far as that
    // consists of quotes, brackets and other punctuation; or LLAMA_TOKEN_NULL. A model may close a value and continue
    // in the same token where the grammar requires another continuation: the closing part is kept.
    llama_token beginning_of(llama_token token) const;

    // The intent behind a preferred token that is not allowed: to end a number that could end here, or to end the
    // answer. Tokens that the grammar allows instead, more digits or one more item of a list, contradict it.
    enum class Intent { Other, EndNumber, EndAnswer };
    Intent intent(llama_token token) const;

    // Whether a token is consistent with the intent.
    bool suits(Intent intent, llama_token token) const;

    // Appends a text. Returns false, and changes nothing, if it is not allowed.
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
