// Messages and tools in the form that llama-common takes.
#pragma once

#include "chat/message.h"
#include "chat/tools.h"

#include "common/chat.h"

#include <vector>

namespace luup {

common_chat_msg  to_common(const Message & message);
common_chat_tool to_common(const Tool & tool);

// Return inputs that render a prompt of `messages`, without tools. `open_answer` adds the beginning of an answer.
common_chat_templates_inputs prompt_inputs(std::vector<common_chat_msg> messages, bool open_answer);

}  // namespace luup
