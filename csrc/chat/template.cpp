#include "chat/template.h"

#include "base/json.h"
#include "base/error.h"
#include "base/text.h"
#include "chat/conversion.h"
#include "chat/media_markers.h"
#include "chat/native_format.h"
#include "chat/prompt_program.h"
#include "chat/template_probe.h"
#include "chat/template_run.h"
#include "chat/thinking_switch.h"
#include "chat/tool_format.h"
#include "chat/tools.h"

#include "media/encoder.h"

#include "common/chat.h"

#include <algorithm>
#include <new>
#include <string_view>
#include <utility>

namespace luup {

namespace {

// Split messages with several calls, for templates that take one call a message; each result follows its call.
std::vector<Message> one_call_a_message(const std::vector<Message> & messages) {
    std::vector<Message> out;
    for (size_t i = 0; i < messages.size(); i++) {
        if (messages[i].tool_calls.size() < 2) {
            out.push_back(messages[i]);
            continue;
        }
        for (size_t k = 0; k < messages[i].tool_calls.size(); k++) {
            const ToolCall & call = messages[i].tool_calls[k];
            Message          one  = messages[i];
            one.tool_calls        = { call };
            if (k > 0) {
                one.content.clear();
                one.reasoning.clear();
            }
            out.push_back(one);
            for (size_t r = i + 1; r < messages.size() && messages[r].role == "tool"; r++) {
                if (messages[r].tool_call_id == call.id) {
                    out.push_back(messages[r]);
                }
            }
        }
        while (i + 1 < messages.size() && messages[i + 1].role == "tool") {
            i++;
        }
    }
    return out;
}

// Returns an id of nine letters and digits, which every template accepts; always the same one for the same `id`.
std::string portable_id(const std::string & id) {
    static constexpr char alphabet[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    uint64_t              hash       = 1469598103934665603u;  // FNV-1a
    for (const char c : id) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
    }
    std::string made;
    for (int i = 0; i < 9; i++) {
        made += alphabet[hash % (sizeof(alphabet) - 1)];
        hash /= sizeof(alphabet) - 1;
    }
    return made;
}

// Replaces the ids of calls that a server made up, such as "functions.add:0": templates may refuse them, or write them
// where they would become control tokens.
void make_ids_portable(std::vector<Message> & messages) {
    const auto portable = [](const std::string & id) {
        return id.size() == 9 && std::all_of(id.begin(), id.end(), [](unsigned char c) {
                   return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
               });
    };
    for (Message & m : messages) {
        if (!m.tool_call_id.empty() && !portable(m.tool_call_id)) {
            m.tool_call_id = portable_id(m.tool_call_id);
        }
        for (ToolCall & call : m.tool_calls) {
            if (!call.id.empty() && !portable(call.id)) {
                call.id = portable_id(call.id);
            }
        }
    }
}

}  // namespace

ChatTemplate::ChatTemplate(const llama_model * model, const std::string & source)
    : vocab_(llama_model_get_vocab(model)) {
    check_template(model, source);
    run_within(limits_for_probes(), [&] {
        templates_ = common_chat_templates_init(model, source);
        source_    = common_chat_templates_source(templates_.get());
        program_   = std::make_unique<PromptProgram>(templates_.get(), vocab_);
        switch_    = std::make_unique<const ThinkingSwitch>(source_);
        tokenizer_ = std::make_unique<PromptTokenizer>(vocab_, source_);
        traits_    = std::make_unique<const TemplateTraits>(
            probe_template(templates_.get(), *program_, vocab_, tokenizer_->controls()));
    });
}

ChatTemplate::~ChatTemplate() = default;

bool ChatTemplate::native_tools() const {
    return traits_->native_tools;
}

bool ChatTemplate::several_calls() const {
    return traits_->several_parsed;
}

bool ChatTemplate::takes(const ToolSet & tools) const {
    return traits_->native_tools &&
           *takes_.get(
               tools.definitions(), [&] { return std::make_shared<const bool>(try_tools(tools)); },
               tools.weak_from_this());
}

bool ChatTemplate::try_tools(const ToolSet & tools) const {
    try {
        auto inputs = prompt_inputs({ to_common(Message::user("luup_question")) }, true);
        for (const Tool & tool : tools.tools()) {
            inputs.tools.push_back(to_common(tool));
        }
        const std::string prompt =
            run_within(limits_for_input(tools.definitions().size()), [&] { return program_->apply(inputs); }).prompt;
        return std::all_of(tools.tools().begin(), tools.tools().end(),
                           [&](const Tool & tool) { return prompt.find(tool.name) != std::string::npos; });
    } catch (const Error &) {
        throw;
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception &) {
        return false;
    }
}

// Most conversations never ask for this.
const MessageOrders & ChatTemplate::orders() const {
    std::call_once(orders_found_, [&] {
        orders_ = run_within(limits_for_probes(), [&] { return find_orders(*program_, traits_->native_tools); });
    });
    return orders_;
}

// Adds the arguments of the template that `reasoning` asks for.
void ChatTemplate::add_arguments(common_chat_templates_inputs & inputs, const Reasoning & reasoning) const {
    if (!reasoning.asks_template()) {
        return;
    }
    const auto apply = [](common_chat_templates_inputs & to, const TemplateArguments & arguments) {
        const auto thinking     = arguments.find("enable_thinking");
        to.enable_thinking      = thinking == arguments.end() || thinking->second != "false";
        to.chat_template_kwargs = arguments;
    };
    const auto renders = [&](const TemplateArguments & arguments) {
        auto sample = prompt_inputs({ to_common(Message::user("luup_question")) }, true);
        apply(sample, arguments);
        try {
            run_within(limits_for_probes(), [&] { return program_->apply(sample); });
            return true;
        } catch (const Error &) {
            throw;
        } catch (const std::bad_alloc &) {
            throw;
        } catch (const std::exception &) {
            return false;
        }
    };
    apply(inputs, switch_->arguments(reasoning, renders));
}

// Tokenizes a rendered prompt, in which pictures and sounds have markers.
void ChatTemplate::tokenize(const std::string & text, const std::string & seal, TokenizedText * known,
                            const MediaMarkers & markers, Prompt & prompt) const {
    const auto parts = markers.split(text);
    prompt.tokens    = tokenizer_->tokenize(parts.front().text, seal, known);
    for (size_t i = 0; i + 1 < parts.size(); i++) {
        const Media & file = parts[i].file;
        for (const MediaPiece & piece : *encoder_->layout(file)) {
            if (piece.is_chunk) {
                prompt.media.push_back({ prompt.tokens.size(), piece.chunk, file, nullptr });
            }
            prompt.tokens.insert(prompt.tokens.end(), piece.tokens.begin(), piece.tokens.end());
        }
        if (!parts[i + 1].text.empty()) {
            const auto more = tokenizer_->tokenize_more(parts[i + 1].text, seal);
            prompt.tokens.insert(prompt.tokens.end(), more.begin(), more.end());
        }
    }
}

Prompt ChatTemplate::render(const std::vector<Message> & given, const ToolSet * tools, bool open_answer,
                            TokenizedText * known, const Reasoning & reasoning) const {
    const MediaMarkers           markers(given, encoder_);
    const std::vector<Message> & messages = markers.messages();
    static const ToolSet         none({});
    const bool                   native = tools ? takes(*tools) : traits_->native_tools;
    std::vector<Message>         list   = !native                  ? tools_as_text(messages, tools ? *tools : none)
                                          : traits_->several_calls ? messages
                                                                   : one_call_a_message(messages);
    make_ids_portable(list);
    if (is_unusual_order(list)) {
        list = fold(std::move(list), orders());
    }
    const auto &                  offered = native && tools ? tools->tools() : none.tools();
    std::vector<std::string_view> texts;
    size_t                        input = 0;
    for (const Message & m : list) {
        texts.insert(texts.end(), { m.content, m.reasoning });
        for (const ToolCall & call : m.tool_calls) {
            texts.push_back(call.arguments);
            input += call.name.size() + call.id.size();
        }
    }
    for (const Tool & tool : offered) {
        texts.insert(texts.end(), { tool.description, tool.parameters->prompt_text() });
        input += tool.name.size();
    }
    for (const std::string_view text : texts) {
        input += text.size();
    }
    input += reasoning.options.size();
    std::string                  seal = tokenizer_->choose_seal(texts);
    std::vector<common_chat_msg> sealed;
    for (Message m : list) {
        m.content   = tokenizer_->seal_text(m.content, seal);
        m.reasoning = tokenizer_->seal_text(m.reasoning, seal);
        for (ToolCall & call : m.tool_calls) {
            if (is_nested_too_deeply(call.arguments)) {  // the renderer's parser has no limit
                fail(LUUP_ERROR_CHAT_TEMPLATE, "the arguments of a call of %.64s are nested too deeply",
                     call.name.c_str());
            }
            call.arguments = tokenizer_->seal_text(call.arguments, seal);
        }
        sealed.push_back(to_common(m));
    }
    auto inputs = prompt_inputs(std::move(sealed), open_answer);
    add_arguments(inputs, reasoning);
    for (const Tool & tool : offered) {
        inputs.tools.push_back({ tool.name, tokenizer_->seal_text(tool.description, seal),
                                 tokenizer_->seal_text(tool.parameters->prompt_text(), seal) });
    }
    // Templates may also make a marker of texts that have none, or take one from a name.
    const auto finish = [&](const std::string & text, const std::vector<luup_template::Range> & parts) {
        return tokenizer_->seal_parts(text, parts, seal);
    };
    common_chat_params params;
    try {
        params = run_within(limits_for_input(input), [&] { return program_->apply(inputs); }, finish);
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const Error &) {
        throw;
    } catch (const std::exception & e) {
        fail(LUUP_ERROR_CHAT_TEMPLATE, "the chat template can't render these messages: %s", e.what());
    }
    Prompt prompt;
    prompt.opening = traits_->opening;
    if (ends_with(params.prompt, prompt.opening.text.text)) {  // without thoughts the prompt has it already
        prompt.opening.text = {};
    }
    tokenize(params.prompt, seal, known, markers, prompt);
    prompt.stops = params.additional_stops;
    if ((params.supports_thinking || !traits_->opening_text.empty()) && !params.parser.empty()) {
        auto parser = std::make_shared<common_chat_parser_params>(params);
        parser->parser.load(params.parser);
        parser->reasoning_format = COMMON_REASONING_FORMAT_AUTO;
        prompt.preserved         = marker_ids(params.preserved_tokens);
        if (params.supports_thinking) {
            prompt.thinking      = { params.thinking_start_tag, params.thinking_end_tags, false, traits_->closing };
            prompt.thinking.open = leaves_thoughts_open(params.prompt, prompt.thinking);
        }
        if (prompt.thinking.open && params.generation_prompt.empty()) {  // the template always opens thoughts
            parser->generation_prompt = prompt.thinking.start;
        }
        prompt.parser = parser;
    }
    return prompt;
}

std::vector<llama_token> ChatTemplate::marker_ids(const std::vector<std::string> & texts) const {
    std::vector<llama_token> ids;
    for (const std::string & text : texts) {
        const auto tokens = marker_tokens(text);
        if (tokens.size() == 1) {
            ids.push_back(tokens[0]);
        }
    }
    return ids;
}

std::vector<llama_token> ChatTemplate::marker_tokens(const std::string & text) const {
    return tokenize_text(vocab_, text, false, true);
}

std::shared_ptr<const ToolFormat> ChatTemplate::tool_format(const ToolSet & tools, bool parallel) const {
    return formats_.get((parallel ? "several\n" : "one\n") + tools.definitions(),
                        [&] { return compile_tool_format(tools, parallel); }, tools.weak_from_this());
}

std::shared_ptr<const ToolFormat> ChatTemplate::compile_tool_format(const ToolSet & tools, bool parallel) const {
    if (takes(tools)) {
        try {
            const bool several = parallel && traits_->several_parsed;
            const auto make = [&] { return native_format(templates_.get(), tools, several, traits_->format, vocab_); };
            if (auto format = run_within(limits_for_input(tools.definitions().size()), make)) {
                const auto text      = marker_tokens(traits_->opening_text);
                const auto opening   = format->opening_tokens;
                format->shared_start = opening.size() > 1 && std::count(text.begin(), text.end(), opening.front()) > 0;
                return format;
            }
        } catch (const Error &) {
            throw;
        } catch (const std::bad_alloc &) {
            throw;
        } catch (const std::exception & e) {
            fail(LUUP_ERROR_CHAT_TEMPLATE, "the chat template has no format for these tools: %s", e.what());
        }
    }
    return own_format(tools, parallel, vocab_);
}

}  // namespace luup
