// The prompt in which a model that ranks texts reads a query and a document.
#pragma once

#include "embed/token_limit.h"
#include "tokens/tokenizer.h"

#include "llama.h"

#include <memory>
#include <string>

namespace luup {

class RankPrompt {
  public:
    // `limit` must outlive this object.
    RankPrompt(const llama_model * model, const TokenLimit & limit);

    // Returns the tokens of the prompt: the file's own template, or the two texts between the tokens that separate
    // them. Names of control tokens in the texts stay text. Throws Error(LUUP_ERROR_CONTEXT_FULL) with `name` if they
    // are more than the limit, unless `truncate`: then the end of the document is left out.
    Tokens tokenize(const std::string & name, const std::string & query, const std::string & document,
                    bool truncate) const;

  private:
    Tokens with_template(const std::string & query, const std::string & document) const;
    Tokens as_pair(const std::string & query, const std::string & document, size_t most) const;

    const llama_vocab *                    vocab_;
    const TokenLimit &                     limit_;
    std::string                            template_;   // "" if the file has none
    std::unique_ptr<const PromptTokenizer> tokenizer_;  // of the template
};

}  // namespace luup
