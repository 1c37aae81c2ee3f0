// A model's chat template: messages and tools to tokens.
#pragma once

#include "base/recent.h"
#include "chat/message.h"
#include "chat/message_order.h"
#include "chat/prompt.h"
#include "chat/reasoning.h"
#include "tokens/tokenizer.h"

#include "llama.h"

#include <memory>
#include <mutex>
#include <string>
#include <vector>

struct common_chat_templates;
struct common_chat_templates_inputs;

namespace luup {

class MediaEncoder;
class MediaMarkers;
class PromptProgram;
class ThinkingSwitch;
class ToolSet;
struct TemplateTraits;
struct ToolFormat;

// All methods may be called from any thread.
class ChatTemplate {
  public:
    // An empty `source` means the model's own template, or ChatML if it has none. Throws
    // Error(LUUP_ERROR_CHAT_TEMPLATE) for a template that is too large, does not parse, or does not render a first
    // message in bounded time and memory.
    ChatTemplate(const llama_model * model, const std::string & source);
    ~ChatTemplate();

    // Prompts may have the pictures and sounds that `encoder` reads; it has to live as long as this. Not while another
    // thread uses this.
    void use_encoder(MediaEncoder * encoder) { encoder_ = encoder; }

    // Return the prompt of `given` with `tools` (may be null); `open_answer` adds the beginning of an answer. Only
    // the template's own text becomes control tokens; all text of messages and tools, their names and ids too, stays
    // text. `known` (may be null) is
    // the previous prompt and is set to this one: their common beginning is not tokenized again. `reasoning` says how
    // much the model thinks, and has arguments for the template. Throws Error(LUUP_ERROR_CHAT_TEMPLATE) if the template
    // refuses the messages or exceeds its limits, and the Error of this thread's interruption.
    Prompt render(const std::vector<Message> & given, const ToolSet * tools, bool open_answer,
                  TokenizedText * known = nullptr, const Reasoning & reasoning = {}) const;

    // Return how this template's models write calls of `tools`. Compiled once for all tool sets with the same
    // definitions. Throws Error.
    std::shared_ptr<const ToolFormat> tool_format(const ToolSet & tools, bool parallel) const;

    // Whether the template has a format for tools that keeps all of them, their calls and their results. Tools are
    // described in our own words otherwise.
    bool native_tools() const;

    // Whether that format is used for `tools`: some templates fail at some schemas.
    bool takes(const ToolSet & tools) const;

    // Whether an answer in the template's format may hold several calls.
    bool several_calls() const;

    // Return the tokens of a text of the template's own.
    std::vector<llama_token> marker_tokens(const std::string & text) const;

    // Return the tokens of those texts that are exactly one token.
    std::vector<llama_token> marker_ids(const std::vector<std::string> & texts) const;

    // The Jinja source.
    const std::string & source() const { return source_; }

  private:
    const MessageOrders & orders() const;
    void                  add_arguments(common_chat_templates_inputs & inputs, const Reasoning & reasoning) const;
    bool                  try_tools(const ToolSet & tools) const;
    void                  tokenize(const std::string & text, const std::string & seal, TokenizedText * known,
                                   const MediaMarkers & markers, Prompt & prompt) const;
    std::shared_ptr<const ToolFormat> compile_tool_format(const ToolSet & tools, bool parallel) const;

    const llama_vocab *                    vocab_;
    std::shared_ptr<common_chat_templates> templates_;
    std::unique_ptr<PromptProgram>         program_;  // of templates_
    std::unique_ptr<PromptTokenizer>       tokenizer_;
    std::unique_ptr<const TemplateTraits>  traits_;
    std::unique_ptr<const ThinkingSwitch>  switch_;
    std::string                            source_;
    MediaEncoder *                         encoder_ = nullptr;  // null: the model reads text alone
    mutable std::once_flag                 orders_found_;
    mutable MessageOrders                  orders_;

    // By the tools' definitions; kept while a tool set that asked for them is alive.
    mutable Recent<bool>       takes_{ 64 };
    mutable Recent<ToolFormat> formats_{ 16 };  // few: the states of a grammar may hold megabytes
};

}  // namespace luup
