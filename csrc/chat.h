// Chat templates: messages and tools to tokens.
#pragma once

#include "llama.h"
#include "message.h"
#include "tokenizer.h"

#include <memory>
#include <mutex>
#include <string>
#include <vector>

struct common_chat_templates;
struct common_chat_parser_params;
struct common_chat_params;
struct common_chat_templates_inputs;

namespace luup {

class PromptProgram;
class ToolSet;
struct ToolFormat;
struct FormatTraits;

// Where the model's thoughts begin and end, as texts of the template; all empty if it has none.
struct Thinking {
    std::string              start;
    std::vector<std::string> ends;
    bool                     open = false;  // the prompt ends inside of them
};

// What a template writes before the text of an answer, as its models learnt to: they name a channel, or begin another message. Empty: nothing.
struct AnswerOpening {
    TemplateText after_thoughts;  // of a text and of calls
    TemplateText text;            // right before the text
};

struct Prompt {
    std::vector<llama_token>                         tokens;
    std::vector<std::string>                         stops;   // texts at which this template's answers end
    std::shared_ptr<const common_chat_parser_params> parser;  // null if the whole text is the answer
    std::vector<llama_token>                         preserved;  // control tokens whose names the parser needs to see
    Thinking                                         thinking;
    AnswerOpening                                    opening;
};

// A model's chat template. All methods may be called from any thread.
class ChatTemplate {
  public:
    // `source` empty: the model's own, or ChatML if it has none. Throws Error(LUUP_ERROR_CHAT_TEMPLATE) for one that is too
    // large, does not parse, or does not render a first message in bounded time and memory.
    ChatTemplate(const llama_model * model, const std::string & source);
    ~ChatTemplate();

    // The tokens of `messages`, with `tools` (may be null) and with `open_answer` of the beginning of an answer. Only the template's own text
    // becomes control tokens; what messages and tools say stays text. Throws Error(LUUP_ERROR_CHAT_TEMPLATE) if the template refuses them.
    // `known` (may be null) is the prompt that was rendered before, and then this one: what they begin with alike is not tokenized again.
    Prompt render(const std::vector<Message> & messages, const ToolSet * tools, bool open_answer, TokenizedText * known = nullptr) const;

    // How this template's models write calls of `tools`. Throws Error.
    std::shared_ptr<const ToolFormat> tool_format(const ToolSet & tools, bool parallel) const;

    // Whether the template has a format of its own for tools that keeps all of them, their calls and their results, and whether it is used for
    // `tools`. If not, they are described in our own words.
    bool native_tools() const { return native_tools_; }
    bool takes(const ToolSet & tools) const;

    // Whether an answer in the template's format may hold several calls.
    bool several_calls() const { return several_read_; }

    // Tokens of a text of the template's own.
    std::vector<llama_token> marker_tokens(const std::string & text) const;

    // Of each text, its token if it is exactly one.
    std::vector<llama_token> marker_ids(const std::vector<std::string> & texts) const;

    // The Jinja source.
    const std::string & source() const { return source_; }

  private:
    void               find_tool_support();
    void               find_answer_opening();
    bool               calls_come_back(const std::vector<ToolCall> & calls);
    common_chat_params apply(const common_chat_templates_inputs & inputs) const;

    const llama_vocab *                    vocab_;
    std::shared_ptr<common_chat_templates> templates_;
    std::unique_ptr<PromptProgram>         program_;  // of templates_
    std::unique_ptr<PromptTokenizer>       tokenizer_;
    std::string                            source_;
    bool                                   native_tools_  = false;
    bool                                   several_calls_ = false;  // a message may hold more than one call
    bool                                   several_read_  = false;  // and an answer too, as it is parsed
    std::string                            answer_opening_;  // what the template writes before the text of an answer, empty thoughts too
    AnswerOpening                          opening_;
    std::unique_ptr<FormatTraits>          traits_;  // of the format for tools
    mutable std::mutex                     mutex_;  // the template's program keeps state while it runs
};

}  // namespace luup
