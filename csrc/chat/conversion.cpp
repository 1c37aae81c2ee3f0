#include "chat/conversion.h"

#include <utility>

namespace luup {

common_chat_msg to_common(const Message & message) {
    common_chat_msg out;
    out.role              = message.role;
    out.content           = message.content;
    out.reasoning_content = message.reasoning;
    out.tool_call_id      = message.tool_call_id;
    out.tool_name         = message.tool_name;
    for (const ToolCall & call : message.tool_calls) {
        out.tool_calls.push_back({ call.name, call.arguments, call.id });
    }
    return out;
}

common_chat_tool to_common(const Tool & tool) {
    return { tool.name, tool.description, tool.parameters->prompt_text() };
}

common_chat_templates_inputs prompt_inputs(std::vector<common_chat_msg> messages, bool open_answer) {
    common_chat_templates_inputs inputs;
    inputs.messages              = std::move(messages);
    inputs.add_generation_prompt = open_answer;
    inputs.use_jinja             = true;
    inputs.parallel_tool_calls   = true;
    inputs.reasoning_format      = COMMON_REASONING_FORMAT_AUTO;
    inputs.tool_choice           = COMMON_CHAT_TOOL_CHOICE_NONE;  // saves the grammar; the prompt is the same
    return inputs;
}

}  // namespace luup
