#include "chat/message.h"

#include "base/json.h"
#include "base/error.h"
#include "base/text.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

namespace luup {

namespace {

using json = nlohmann::ordered_json;

std::string text_field(const json & j, const char * field, const std::string & where) {
    if (!j.contains(field) || j[field].is_null()) {
        return "";
    }
    if (!j[field].is_string()) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s.%s must be a string", where.c_str(), field);
    }
    const std::string text = j[field].get<std::string>();
    if (text.find('\0') != std::string::npos) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s.%s contains a zero byte; text must not", where.c_str(), field);
    }
    return text;
}

void check_object_text(const std::string & text, const std::string & where) {
    std::string problem;
    const json  value = try_read_json(text, &problem);
    if (value.is_discarded()) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s must be the JSON text of an object, but %s", where.c_str(), problem.c_str());
    }
    if (!value.is_object()) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s must be the JSON text of an object", where.c_str());
    }
}

// Returns the other fields of an object than `known`, as JSON text; "" if it has no other.
std::string other_fields(const json & j, std::initializer_list<const char *> known) {
    json other = json::object();
    for (const auto & [name, value] : j.items()) {
        if (std::find(known.begin(), known.end(), name) == known.end() && !value.is_null()) {
            other[name] = value;
        }
    }
    return other.empty() ? "" : other.dump();
}

std::string other_fields_of_call(const json & j) {
    const std::string outer    = other_fields(j, { "id", "type", "index", "function" });
    const std::string function = other_fields(j["function"], { "name", "arguments" });
    if (function.empty()) {
        return outer;
    }
    json other        = read_json(outer.empty() ? "{}" : outer, "the fields of a call");
    other["function"] = read_json(function, "the fields of a function");
    return other.dump();
}

// Adds the fields of `extra` to `j`, but replaces none.
void add_fields(json & j, const std::string & extra) {
    if (extra.empty()) {
        return;
    }
    const json fields = try_read_json(extra);
    for (const auto & [name, value] : fields.items()) {
        if (!j.contains(name)) {
            j[name] = value;
        } else if (j[name].is_object() && value.is_object()) {
            add_fields(j[name], value.dump());
        }
    }
}

// Reads the picture or sound of a part of a content.
Media parse_media(const json & part, const std::string & where) {
    const std::string type  = text_field(part, "type", where);
    const bool        image = type == "image_url";
    const char *      key   = image ? "image_url" : "input_audio";
    if ((!image && type != "input_audio") || !part.contains(key)) {
        fail(LUUP_ERROR_INVALID_PARAM,
             "%s must be a text (\"text\"), a picture (\"image_url\") or a sound (\"input_audio\"), not \"%.40s\"",
             where.c_str(), type.c_str());
    }
    const json &      value = part[key];
    const std::string place = where + "." + key;
    if (image && value.is_string()) {
        return read_media_url(MediaKind::Image, value.get<std::string>(), place);
    }
    if (!value.is_object()) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s must be an object", place.c_str());
    }
    if (image) {
        return read_media_url(MediaKind::Image, text_field(value, "url", place), place + ".url");
    }
    return read_media(MediaKind::Audio, decode_base64(text_field(value, "data", place), place + ".data"),
                      place + ".data");
}

// Reads a content that is a list of parts.
void parse_parts(const json & parts, Message & message, const std::string & where) {
    for (size_t i = 0; i < parts.size(); i++) {
        const std::string place = where + "[" + std::to_string(i) + "]";
        if (!parts[i].is_object()) {
            fail(LUUP_ERROR_INVALID_PARAM, "%s must be an object", place.c_str());
        }
        if (text_field(parts[i], "type", place) == "text") {
            message.content += text_field(parts[i], "text", place);
        } else {
            message.attachments.push_back({ message.content.size(), parse_media(parts[i], place) });
        }
    }
    if (!message.attachments.empty() && message.role != "user") {
        fail(LUUP_ERROR_INVALID_PARAM, "%s has a picture or sound: only messages of the user may", where.c_str());
    }
}

ToolCall parse_call(const json & j, const std::string & where) {
    if (!j.is_object() || !j.contains("function") || !j["function"].is_object()) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s must be an object with a \"function\" object", where.c_str());
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
    call.extra = other_fields_of_call(j);
    return call;
}

Message parse_message(const json & j, const std::string & where) {
    if (!j.is_object()) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s must be a JSON object", where.c_str());
    }
    Message m;
    m.role = text_field(j, "role", where);
    if (j.contains("content") && j["content"].is_array()) {
        parse_parts(j["content"], m, where + ".content");
    } else {
        m.content = text_field(j, "content", where);
    }
    m.reasoning      = text_field(j, "reasoning_content", where);
    const bool calls = j.contains("tool_calls") && !j["tool_calls"].is_null();
    if (m.role == "tool") {
        m.tool_call_id = text_field(j, "tool_call_id", where);
        m.tool_name    = text_field(j, "name", where);
    } else if (m.role != "user" && m.role != "assistant" && m.role != "system") {
        fail(LUUP_ERROR_INVALID_PARAM, "%s.role must be \"user\", \"assistant\", \"tool\" or \"system\", not \"%.40s\"",
             where.c_str(), m.role.c_str());
    }
    if (calls) {
        if (m.role != "assistant" || !j["tool_calls"].is_array()) {
            fail(LUUP_ERROR_INVALID_PARAM, "%s.tool_calls must be an array, in a message of the assistant",
                 where.c_str());
        }
        for (size_t i = 0; i < j["tool_calls"].size(); i++) {
            m.tool_calls.push_back(parse_call(j["tool_calls"][i], where + ".tool_calls[" + std::to_string(i) + "]"));
        }
    }
    if (m.role == "assistant") {
        m.extra = other_fields(j, { "role", "content", "reasoning_content", "tool_calls", "tool_call_id", "name" });
    }
    return m;
}

// Check that results directly follow their calls, and that only the last calls have none; fill in the tools' names.
void check_results(std::vector<Message> & messages) {
    std::vector<ToolCall> open;
    for (size_t i = 0; i < messages.size(); i++) {
        Message &         m     = messages[i];
        const std::string where = "history[" + std::to_string(i) + "]";
        if (m.role == "tool") {
            const auto call =
                std::find_if(open.begin(), open.end(), [&](const ToolCall & c) { return c.id == m.tool_call_id; });
            if (call == open.end()) {
                fail(LUUP_ERROR_INVALID_PARAM, "%s.tool_call_id \"%.60s\" is not the id of a pending call before it",
                     where.c_str(), m.tool_call_id.c_str());
            }
            m.tool_name = call->name;
            open.erase(call);
            continue;
        }
        if (!open.empty()) {
            fail(LUUP_ERROR_INVALID_PARAM, "%s must not come before the result of the call \"%.60s\"", where.c_str(),
                 open.front().id.c_str());
        }
        open = m.tool_calls;
    }
}

// Returns the texts and files of a message in their order.
json content_parts(const Message & message) {
    json       parts = json::array();
    size_t     at    = 0;
    const auto text  = [&](size_t end) {
        if (end > at) {
            json part;
            part["type"] = "text";
            part["text"] = message.content.substr(at, end - at);
            parts.push_back(std::move(part));
            at = end;
        }
    };
    for (const Attachment & each : message.attachments) {
        text(each.offset);
        parts.push_back(to_json(*each.file));
    }
    text(message.content.size());
    return parts;
}

}  // namespace

Message Message::system(std::string text) {
    Message message;
    message.role    = "system";
    message.content = std::move(text);
    return message;
}

Message Message::user(std::string text) {
    Message message;
    message.role    = "user";
    message.content = std::move(text);
    return message;
}

Message Message::assistant(std::string text, std::string reasoning, std::vector<ToolCall> calls) {
    Message message;
    message.role       = "assistant";
    message.content    = std::move(text);
    message.reasoning  = std::move(reasoning);
    message.tool_calls = std::move(calls);
    return message;
}

Message Message::tool_result(const ToolCall & call, std::string text) {
    Message message;
    message.role         = "tool";
    message.content      = std::move(text);
    message.tool_call_id = call.id;
    message.tool_name    = call.name;
    return message;
}

void check_role(const std::string & role) {
    if (role != "user" && role != "assistant") {
        fail(LUUP_ERROR_INVALID_PARAM, "role must be \"user\" or \"assistant\", not \"%.40s\"", role.c_str());
    }
}

json to_json(const MediaFile & file) {
    json part;
    if (file.kind == MediaKind::Image) {
        const bool address = !file.url.empty();
        part["type"]       = "image_url";
        part["image_url"]["url"] =
            address ? file.url : "data:" + file.mime_type() + ";base64," + encode_base64(file.bytes);
    } else {
        part["type"]                  = "input_audio";
        part["input_audio"]["data"]   = encode_base64(file.bytes);
        part["input_audio"]["format"] = file.format;
    }
    return part;
}

json to_json(const Message & message) {
    json j;  // filled one by one, since an initializer list copies its values
    j["role"]    = message.role;
    j["content"] = message.content;
    if (!message.attachments.empty()) {
        j["content"] = content_parts(message);
    }
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
        add_fields(item, call.extra);
    }
    if (message.role == "tool") {
        j["tool_call_id"] = message.tool_call_id;
        j["name"]         = message.tool_name;
    }
    add_fields(j, message.extra);
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
    const json list = read_json(text, "the history");
    if (!list.is_array()) {
        fail(LUUP_ERROR_INVALID_PARAM, "the history must be a JSON array");
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
                                   return std::any_of(messages.begin() + static_cast<std::ptrdiff_t>(last),
                                                      messages.end(),
                                                      [&](const Message & m) { return m.tool_call_id == call.id; });
                               }),
                calls.end());
    return calls;
}

}  // namespace luup
