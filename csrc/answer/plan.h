// The permitted parts of one answer: reasoning, tool calls, and an output that a grammar constrains.
#pragma once

#include "answer/grounding.h"
#include "chat/message.h"
#include "chat/template.h"
#include "chat/tool_format.h"
#include "chat/tools.h"
#include "grammar/grammar.h"
#include "schema/schema.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace luup {

// The tool calls that an answer may or must make.
struct CallPlan {
    enum class Mode { None, Auto, Required };

    Mode                              mode = Mode::None;
    std::shared_ptr<const ToolFormat> format;               // null with Mode::None
    std::shared_ptr<const ToolSet>    tools;                // the tools that may be called
    std::shared_ptr<const Grounding>  given;                // the texts of the user and of the tools
    std::vector<ToolCall>             made;                 // earlier calls of the same run
    int32_t                           max_proposed = -1;    // tokens of a proposed call; -1 = no limit
    bool                              parallel     = false;  // several calls are allowed
    bool                              native       = false;  // `format` is the chat template's own
};

// The model's thoughts, which come before everything else.
struct ThinkingPlan {
    Thinking                 texts;
    std::vector<llama_token> start;            // the tokens of texts.start
    std::vector<llama_token> end;              // the tokens of texts.closing, or else of the first of texts.ends
    int32_t                  max_tokens = -1;  // -1 = no limit

    // Whether the library can write the end of the thoughts.
    bool can_end() const { return !end.empty(); }

    // The text of `end`.
    const std::string & end_text() const { return texts.closing.empty() ? texts.ends.front() : texts.closing; }
};

// The markers of `thinking` as tokens of `chat`, without a limit.
ThinkingPlan make_thinking_plan(const ChatTemplate & chat, const Thinking & thinking);

// The output that an answer without calls has to consist of.
struct OutputPlan {
    std::shared_ptr<const Grammar> grammar;             // null: free text
    std::shared_ptr<const Schema>  schema;              // the schema that `grammar` was made from
    bool                           confidence = false;  // record how probable the chosen tokens were

    explicit operator bool() const { return grammar != nullptr; }
};

struct AnswerPlan {
    ThinkingPlan  thinking;
    CallPlan      calls;
    OutputPlan    output;
    AnswerOpening opening;              // texts of the template that come before a call or the output
    bool          jump_forward = true;  // decode text that the grammar dictates in one batch

    // Whether the answer has to contain something that is not up to the model.
    bool must_come() const { return output || calls.mode == CallPlan::Mode::Required; }

    // Whether the answer needs a Guide.
    bool needs_guide() const { return output || calls.mode != CallPlan::Mode::None || thinking.can_end(); }
};

}  // namespace luup
