// Jump-forward decoding: text that the grammar dictates becomes tokens without asking the model.
#pragma once

#include "grammar/constraint.h"

#include <string>
#include <vector>

namespace luup {

// The text that `token` adds to an answer. Control tokens add their names where they are among `markers`, the tokens of
// the tool format, and nothing elsewhere.
std::string visible_text(llama_token token, const Vocabulary & vocabulary, const std::vector<llama_token> & markers);

// Advances `constraint` by the beginning of `text`, which it dictates, and gives the tokens of that beginning: those
// that the tokenizer makes of it. The last token is left to the sampler unless the text ends the answer, because the
// model may prefer a token that goes on beyond `text`. Returns false, and changes nothing, if no token is certain.
bool jump_forward(const std::string & text, Constraint & constraint, const Vocabulary & vocabulary,
                  const std::vector<llama_token> & markers, std::vector<llama_token> & tokens);

}  // namespace luup
