// One message of a conversation, and its form in OpenAI's chat API.
#pragma once

#include "media/file.h"

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace luup {

struct ToolCall {
    std::string id;
    std::string name;
    std::string arguments;  // JSON text of an object
    std::string extra = {};  // as Message::extra, of the call; its "function" has those of the function
};

// A picture or sound of a message, and where in its text it is.
struct Attachment {
    size_t offset = 0;  // bytes of `content` before it
    Media  file;
};

struct Message {
    std::string           role;  // "system", "user", "assistant" or "tool"
    std::string           content;
    std::string           reasoning;     // assistant only; empty without reasoning
    std::vector<ToolCall> tool_calls;    // assistant only
    std::string           tool_call_id;  // tool only: the id of the call that this message answers
    std::string           tool_name;     // tool only
    std::string extra;  // assistant only: JSON text of an object with fields that only its server knows; or ""
    std::vector<Attachment> attachments = {};  // user only; by offset

    static Message system(std::string text);
    static Message user(std::string text);
    static Message assistant(std::string text, std::string reasoning = "", std::vector<ToolCall> calls = {});
    static Message tool_result(const ToolCall & call, std::string text);
};

// Return OpenAI's form of messages, to which the fields of `extra` are added.
nlohmann::ordered_json to_json(const Message & message);
nlohmann::ordered_json to_json(const std::vector<Message> & messages);

// Return a part of a message's content in OpenAI's form, and read one. Throw Error(LUUP_ERROR_INVALID_PARAM).
nlohmann::ordered_json to_json(const MediaFile & file);

// Parse a history. Every result must belong to a call before it, and only the last calls may have none. Throws
// Error(LUUP_ERROR_JSON_PARSE_FAILED) or (LUUP_ERROR_INVALID_PARAM) that names the first wrong part.
std::vector<Message> parse_messages(const std::string & text);

// Return the calls at the end of `messages` that have no result yet.
std::vector<ToolCall> unanswered_calls(const std::vector<Message> & messages);

// Throws Error(LUUP_ERROR_INVALID_PARAM) unless `role` is one of those that a program may add messages of: "user" and
// "assistant".
void check_role(const std::string & role);

}  // namespace luup
