// How calls of tools are written: in the chat template's own format where it has one, else in ours.
#pragma once

#include "grammar.h"
#include "message.h"
#include "tokenizer.h"
#include "tools.h"

#include "llama.h"

#include <memory>
#include <regex>
#include <string>
#include <vector>

struct common_chat_templates;
struct common_chat_parser_params;

namespace luup {

struct ToolFormat {
    std::string                                      opening;   // a call begins with this text of the template; "" = right away with the grammar
    std::vector<std::string>                         triggers;  // texts from which on an answer is bound to the grammar
    std::vector<std::regex>                          patterns;  // likewise, from the first group on
    bool                                             only_first   = false;  // the triggers count at the answer's beginning alone
    bool                                             shared_start = false;  // the opening's first token may begin a text too
    std::shared_ptr<const Grammar>                   grammar;   // of the calls, the opening included
    std::shared_ptr<const common_chat_parser_params> parser;    // null: our own format
    std::vector<std::string>                         markers;   // texts of the format that may be control tokens

    std::vector<llama_token>  opening_tokens;
    std::vector<llama_token>  marker_tokens;  // those of `markers` that are single tokens
    std::vector<TemplateText> next_openings;  // how one more call may begin, after what stands between two; empty: one is all
};

// What llama.cpp's analysis of a template leaves out.
struct FormatTraits {
    std::string              prelude;             // markers that the template writes before the first call
    std::vector<std::string> controls;            // the control tokens' names that it has
    bool                     tight_ends = false;  // no blank stands before the tag that ends a call
};

// The template's own format for calls of `tools`; null if it has none that llama.cpp knows. Throws Error.
std::shared_ptr<const ToolFormat> native_format(const common_chat_templates * templates, const ToolSet & tools, bool parallel, const FormatTraits & traits,
                                                const llama_vocab * vocab);

// Ours: JSON objects between <tool_call> and </tool_call>.
std::shared_ptr<const ToolFormat> own_format(const ToolSet & tools, bool parallel, const llama_vocab * vocab);

// `messages` for a template that knows no tools: the tools in the system prompt, calls and results as text.
std::vector<Message> tools_as_text(const std::vector<Message> & messages, const ToolSet & tools);

// The calls in `raw`, the model's whole text, in which they begin at `calls_begin`; ids as the model wrote them, or empty. Throws
// std::exception if it does not parse.
std::vector<ToolCall> parse_calls(const ToolFormat & format, const std::string & raw, size_t calls_begin);

// Where the first call begins in `text`: at a trigger, or where a pattern says; npos if there is none.
size_t find_call(const ToolFormat & format, const std::string & text);

// Whether `format` takes and understands what the template writes for `calls`, `text`.
bool reads_back(const ToolFormat & format, const std::string & text, const std::vector<ToolCall> & calls);

}  // namespace luup
