// One message of a conversation, and its form in OpenAI's chat API.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace luup {

struct ToolCall {
    std::string id;
    std::string name;
    std::string arguments;  // JSON text of an object
};

struct Message {
    std::string           role;  // "system", "user", "assistant", "tool"
    std::string           content;
    std::string           reasoning;     // of an assistant; empty if there was none
    std::vector<ToolCall> tool_calls;    // of an assistant
    std::string           tool_call_id;  // of a tool: the call that this is the result of
    std::string           tool_name;     // of a tool
};

nlohmann::ordered_json to_json(const Message & message);
nlohmann::ordered_json to_json(const std::vector<Message> & messages);

// Throws Error(LUUP_ERROR_JSON_PARSE_FAILED) or (LUUP_ERROR_INVALID_PARAM) that names the first wrong part. Every result belongs to a call
// before it, and only the last calls may wait for theirs.
std::vector<Message> parse_messages(const std::string & text);

// The calls at the end of `messages` that have no result yet.
std::vector<ToolCall> unanswered_calls(const std::vector<Message> & messages);

// Throws Error(LUUP_ERROR_INVALID_PARAM) unless a program may add a plain message of `role`: a user's or an assistant's.
void check_role(const std::string & role);

}  // namespace luup
