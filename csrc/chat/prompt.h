// A rendered prompt, and what is known of the answer that follows it.
#pragma once

#include "media/chunk.h"
#include "tokens/tokenizer.h"

#include "llama.h"

#include <memory>
#include <string>
#include <vector>

struct common_chat_parser_params;

namespace luup {

// Where the model's thoughts begin and end, as texts of the template; all empty for a template without thoughts.
struct Thinking {
    std::string              start;
    std::vector<std::string> ends;
    bool                     open    = false;  // the prompt ends inside of thoughts
    std::string              closing = {};  // what the template writes behind thoughts, one of `ends` included
};

// Return whether `prompt` ends after the start of the model's thoughts and before their end.
bool leaves_thoughts_open(const std::string & prompt, const Thinking & thinking);

// Texts that the template writes before the text of an answer, as its models were trained to: they name a channel, or
// begin another message. Empty for most templates.
struct AnswerOpening {
    TemplateText after_thoughts;  // before a text and before calls
    TemplateText text;            // directly before the text
};

struct Prompt {
    std::vector<llama_token> tokens;
    std::vector<MediaSpan>   media;      // the pictures and sounds among `tokens`, in order
    size_t                   stable = 0;  // the tokens before the beginning of the answer
    std::vector<std::string> stops;      // texts at which this template's answers end
    std::vector<llama_token> preserved;  // control tokens whose names the parser needs to see
    Thinking                 thinking;
    AnswerOpening            opening;

    // Splits an answer into thoughts and text; null if the whole answer is text.
    std::shared_ptr<const common_chat_parser_params> parser;
};

}  // namespace luup
