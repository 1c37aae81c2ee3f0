#include "chat/prompt_program.h"

#include "base/text.h"
#include "tokens/tokenizer.h"

#include "common/chat-auto-parser.h"

#include <ctime>
#include <new>
#include <utility>

namespace luup {

namespace {

constexpr size_t max_kept = 32;

std::string piece_of(const llama_vocab * vocab, llama_token token) {
    return token == LLAMA_TOKEN_NULL ? "" : token_bytes(vocab, token, true);
}

// Return the date in the form in which llama-common passes it to templates.
std::string date(std::chrono::system_clock::time_point now, const char * format) {
    const std::time_t time = std::chrono::system_clock::to_time_t(now);
    std::tm           local{};
#ifdef _WIN32
    localtime_s(&local, &time);
#else
    localtime_r(&time, &local);
#endif
    char text[32];
    return std::string(text, std::strftime(text, sizeof(text), format, &local));
}

std::string key_of(const common_chat_templates_inputs & inputs) {
    std::string key = std::string(inputs.add_generation_prompt ? "+" : "-") + (inputs.enable_thinking ? "+" : "-");
    for (const auto & [name, value] : inputs.chat_template_kwargs) {
        key += std::to_string(name.size()) + "=" + name + std::to_string(value.size()) + "=" + value;
    }
    for (const common_chat_tool & tool : inputs.tools) {
        for (const std::string & text : { tool.name, tool.description, tool.parameters }) {
            key += std::to_string(text.size()) + ":" + text;
        }
    }
    return key;
}

}  // namespace

PromptProgram::PromptProgram(const common_chat_templates * templates, const llama_vocab * vocab)
    : templates_(templates),
      template_(common_chat_templates_source(templates), piece_of(vocab, llama_vocab_bos(vocab)),
                piece_of(vocab, llama_vocab_eos(vocab))),
      add_bos_(llama_vocab_get_add_bos(vocab)),
      add_eos_(llama_vocab_get_add_eos(vocab)) {
    const bool trims_messages =
        template_.source().find("You have access to the following functions in JSONSchema format") != std::string::npos;
    alone_ = !trims_messages && template_.original_caps().supports_system_role && !has_handler();
}

// Return whether llama-common has code of its own for this template, which may rewrite the messages.
bool PromptProgram::has_handler() const {
    try {
        common_chat_msg message;
        message.role    = "user";
        message.content = "Hello";
        autoparser::generation_params params;
        params.messages              = common_chat_msgs_to_json_oaicompat({ message });
        params.tool_choice           = COMMON_CHAT_TOOL_CHOICE_NONE;
        params.add_generation_prompt = true;
        return common_chat_try_specialized_template(template_, template_.source(), params).has_value();
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception &) {
        return true;
    }
}

std::string PromptProgram::run(const common_chat_templates_inputs & inputs) const {
    const auto                    caps = template_.original_caps();
    autoparser::generation_params params;
    params.messages = common_chat_msgs_to_json_oaicompat(inputs.messages);
    params.tools    = common_chat_tools_to_json_oaicompat(inputs.tools);
    for (size_t i = 0; i < params.messages.size(); i++) {
        auto & message = params.messages[i];
        if (!message.contains("tool_calls")) {
            continue;
        }
        if (caps.supports_tool_calls && !message.contains("content")) {
            message["content"] = "";
        }
        for (size_t k = 0; caps.supports_object_arguments && k < message["tool_calls"].size(); k++) {
            auto & arguments = message["tool_calls"][k]["function"]["arguments"];
            if (arguments.is_string()) {
                arguments = common_json::parse(arguments.get<std::string>());
            }
        }
    }
    params.add_generation_prompt        = inputs.add_generation_prompt;
    params.enable_thinking              = inputs.enable_thinking;
    params.now                          = inputs.now;
    params.extra_context["datetime"]    = date(inputs.now, "%b %d %Y");
    params.extra_context["date_string"] = date(inputs.now, "%d %b %Y");
    for (const auto & [name, value] : inputs.chat_template_kwargs) {
        params.extra_context[name] = common_json::parse(value);
    }
    params.add_bos = add_bos_;
    params.add_eos = add_eos_;
    return common_chat_template_direct_apply(template_, params);
}

common_chat_params PromptProgram::apply(const common_chat_templates_inputs & inputs) {
    if (!alone_) {
        return common_chat_templates_apply(templates_, inputs);
    }
    const std::string key = key_of(inputs);
    if (auto params = kept(key)) {
        params->prompt = run(inputs);
        if (!inputs.add_generation_prompt || ends_with(params->prompt, params->generation_prompt)) {
            return std::move(*params);
        }
        return common_chat_templates_apply(templates_, inputs);
    }
    common_chat_params params = common_chat_templates_apply(templates_, inputs);
    if (run(inputs) != params.prompt) {
        alone_ = false;
    }
    keep(key, params);
    return params;
}

std::optional<common_chat_params> PromptProgram::kept(const std::string & key) const {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto                  found = kept_.find(key);
    return found == kept_.end() ? std::nullopt : std::make_optional(found->second);
}

void PromptProgram::keep(const std::string & key, common_chat_params params) {
    params.prompt.clear();
    std::lock_guard<std::mutex> lock(mutex_);
    if (kept_.size() >= max_kept) {
        kept_.clear();
    }
    kept_.emplace(key, std::move(params));
}

}  // namespace luup
