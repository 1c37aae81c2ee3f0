// Finds out what a chat template can do, by rendering sample conversations.
#pragma once

#include "chat/message_order.h"
#include "chat/native_format.h"
#include "chat/prompt.h"

#include "llama.h"

#include <string>
#include <vector>

struct common_chat_templates;

namespace luup {

class PromptProgram;

struct TemplateTraits {
    bool          native_tools   = false;  // its format for tools keeps all of them, their calls and their results
    bool          several_calls  = false;  // a message may hold several calls
    bool          several_parsed = false;  // and so may an answer: its parser finds all of them
    std::string   opening_text;  // all that the template writes before the text of an answer, empty thoughts included
    std::string   closing;  // what it writes behind thoughts, up to opening.after_thoughts; "" if that is unknown
    AnswerOpening opening;
    FormatTraits  format;
};

// Find the orders of messages that a template takes, with and without tools.
MessageOrders find_orders(PromptProgram & program, bool native_tools);

// Check the model's template, or `source` if that is not empty. It is a program from an untrusted file, so
// it runs in a child process first, and within limits. Throws Error(LUUP_ERROR_CHAT_TEMPLATE).
void check_template(const llama_model * model, const std::string & source);

// `program` runs `templates`; `controls` are the names of the control tokens in its source.
TemplateTraits probe_template(const common_chat_templates * templates, PromptProgram & program,
                              const llama_vocab * vocab, const std::vector<std::string> & controls);

}  // namespace luup
