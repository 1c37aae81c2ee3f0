#include "message.h"

#include "error.h"
#include "text.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace luup {

namespace {

using json = nlohmann::ordered_json;

std::string text_field(const json & j, const char * field, const std::string & where) {
    if (!j.contains(field) || j[field].is_null()) {
        return "";
    }
    if (!j[field].is_string()) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s.%s is not a string", where.c_str(), field);
    }
    const std::string text = j[field].get<std::string>();
    if (text.find('\0') != std::string::npos) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s.%s has a zero byte", where.c_str(), field);
    }
    return text;
}

void check_object_text(const std::string & text, const std::string & where) {
    const json value = json::parse(text, nullptr, false);
    if (!value.is_object()) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s is not the JSON text of an object", where.c_str());
    }
}

ToolCall parse_call(const json & j, const std::string & where) {
    if (!j.is_object() || !j.contains("function") || !j["function"].is_object()) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s is not an object with a \"function\"", where.c_str());
    }
    const json & function = j["function"];
    ToolCall     call     = { text_field(j, "id", where), text_field(function, "name", where + ".function"), "" };
    if (function.contains("arguments") && function["arguments"].is_object()) {
        call.arguments = function["arguments"].dump();
    } else {
        call.arguments = text_field(function, "arguments", where + ".function");
    }
    if (call.id.empty() || call.name.empty()) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s has no %s", where.c_str(), call.id.empty() ? "id" : "function.name");
    }
    check_object_text(call.arguments, where + ".function.arguments");
    return call;
}

Message parse_message(const json & j, const std::string & where) {
    if (!j.is_object()) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s is not a JSON object", where.c_str());
    }
    Message    m     = { text_field(j, "role", where), text_field(j, "content", where), text_field(j, "reasoning_content", where), {}, "", "" };
    const bool calls = j.contains("tool_calls") && !j["tool_calls"].is_null();
    if (m.role == "tool") {
        m.tool_call_id = text_field(j, "tool_call_id", where);
        m.tool_name    = text_field(j, "name", where);
    } else if (m.role != "user" && m.role != "assistant") {
        fail(LUUP_ERROR_INVALID_PARAM, "%s.role must be \"user\", \"assistant\" or \"tool\", not \"%.40s\"", where.c_str(), m.role.c_str());
    }
    if (calls) {
        if (m.role != "assistant" || !j["tool_calls"].is_array()) {
            fail(LUUP_ERROR_INVALID_PARAM, "%s.tool_calls must be an array, of an assistant", where.c_str());
        }
        for (size_t i = 0; i < j["tool_calls"].size(); i++) {
            m.tool_calls.push_back(parse_call(j["tool_calls"][i], where + ".tool_calls[" + std::to_string(i) + "]"));
        }
    }
    return m;
}

// Results directly follow their calls, and all calls but the last ones have theirs.
void check_results(std::vector<Message> & messages) {
    std::vector<ToolCall> open;
    for (size_t i = 0; i < messages.size(); i++) {
        Message &         m     = messages[i];
        const std::string where = "history[" + std::to_string(i) + "]";
        if (m.role == "tool") {
            const auto call = std::find_if(open.begin(), open.end(), [&](const ToolCall & c) { return c.id == m.tool_call_id; });
            if (call == open.end()) {
                fail(LUUP_ERROR_INVALID_PARAM, "%s.tool_call_id is \"%.60s\", which no call before it waits for", where.c_str(), m.tool_call_id.c_str());
            }
            m.tool_name = call->name;
            open.erase(call);
            continue;
        }
        if (!open.empty()) {
            fail(LUUP_ERROR_INVALID_PARAM, "%s comes before the result of the call \"%.60s\"", where.c_str(), open.front().id.c_str());
        }
        open = m.tool_calls;
    }
}

}  // namespace

void check_role(const std::string & role) {
    if (role != "user" && role != "assistant") {
        fail(LUUP_ERROR_INVALID_PARAM, "role must be \"user\" or \"assistant\", not \"%.40s\"", role.c_str());
    }
}

json to_json(const Message & message) {
    json j;  // filled one by one: a list of initializers is copied
    j["role"]    = message.role;
    j["content"] = message.content;
    if (!message.reasoning.empty()) {
        j["reasoning_content"] = message.reasoning;
    }
    for (const ToolCall & call : message.tool_calls) {
        json & list = j["tool_calls"];
        list.push_back(json::object());
        json & item                   = list.back();
        item["id"]                    = call.id;
        item["type"]                  = "function";
        item["function"]["name"]      = call.name;
        item["function"]["arguments"] = call.arguments;
    }
    if (message.role == "tool") {
        j["tool_call_id"] = message.tool_call_id;
        j["name"]         = message.tool_name;
    }
    return j;
}

json to_json(const std::vector<Message> & messages) {
    json list = json::array();
    for (const Message & message : messages) {
        list.push_back(to_json(message));
    }
    return list;
}

std::vector<Message> parse_messages(const std::string & text) {
    json list;
    try {
        list = json::parse(text);
    } catch (const json::exception & e) {
        fail(LUUP_ERROR_JSON_PARSE_FAILED, "the history is not valid JSON: %s", e.what());
    }
    if (!list.is_array()) {
        fail(LUUP_ERROR_INVALID_PARAM, "the history is not a JSON array");
    }
    std::vector<Message> messages;
    for (size_t i = 0; i < list.size(); i++) {
        messages.push_back(parse_message(list[i], "history[" + std::to_string(i) + "]"));
    }
    check_results(messages);
    return messages;
}

std::vector<ToolCall> unanswered_calls(const std::vector<Message> & messages) {
    size_t last = messages.size();
    while (last > 0 && messages[last - 1].role == "tool") {
        last--;
    }
    if (last == 0) {
        return {};
    }
    std::vector<ToolCall> calls = messages[last - 1].tool_calls;
    calls.erase(std::remove_if(calls.begin(), calls.end(),
                               [&](const ToolCall & call) {
                                   return std::any_of(messages.begin() + static_cast<std::ptrdiff_t>(last), messages.end(),
                                                      [&](const Message & m) { return m.tool_call_id == call.id; });
                               }),
                calls.end());
    return calls;
}

}  // namespace luup
