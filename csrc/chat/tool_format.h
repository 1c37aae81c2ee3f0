// How the calls of tools are written in an answer: in the chat template's own format, or in ours.
#pragma once

#include "chat/message.h"
#include "chat/tools.h"
#include "grammar/grammar.h"
#include "tokens/tokenizer.h"

#include "llama.h"

#include <memory>
#include <regex>
#include <string>
#include <vector>

struct common_chat_parser_params;

namespace luup {

struct ToolFormat {
    std::string              opening;  // the template's text that begins a call; "" if the grammar starts at once
    std::vector<std::string> triggers;              // an answer is bound to the grammar from such a text on
    std::vector<std::regex>  patterns;              // likewise, from the first group of the match on
    bool                     only_first   = false;  // triggers count only at the beginning of the answer
    bool                     shared_start = false;  // the opening's first token may begin a text, too
    std::vector<std::string> markers;               // texts of the format that may be control tokens

    std::shared_ptr<const Grammar>                   grammar;  // of the calls, including the opening
    std::shared_ptr<const common_chat_parser_params> parser;   // null for our own format

    std::vector<llama_token> opening_tokens;
    std::vector<llama_token> marker_tokens;  // the markers that are single tokens

    // Texts that may begin one more call, including the text between two calls. Empty if an answer holds one call.
    std::vector<TemplateText> next_openings;
};

// Fill in the tokens of the format's texts.
void find_tokens(ToolFormat & format, bool parallel, const llama_vocab * vocab);

// Our own format: JSON objects between <tool_call> and </tool_call>.
std::shared_ptr<ToolFormat> own_format(const ToolSet & tools, bool parallel, const llama_vocab * vocab);

// Return `messages` for a template without tools: the tools in the system prompt, calls and results as text.
std::vector<Message> tools_as_text(const std::vector<Message> & messages, const ToolSet & tools);

// Return the calls in `raw`, the whole text of an answer in which they begin at `calls_begin`; their ids are empty if
// the format has none. Throws std::exception if the text does not parse.
std::vector<ToolCall> parse_calls(const ToolFormat & format, const std::string & raw, size_t calls_begin);

// Return where the first call begins in `text`, by triggers and patterns; npos if there is none.
size_t find_call(const ToolFormat & format, const std::string & text);

// Return whether the format's grammar and parser take `text`, which the template wrote for `calls`.
bool reads_back(const ToolFormat & format, const std::string & text, const std::vector<ToolCall> & calls);

}  // namespace luup
