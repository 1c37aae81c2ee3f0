#include "answer/chat_completions.h"

#include "base/json.h"
#include "answer/chat_completion_stream.h"
#include "base/error.h"

#include <algorithm>
#include <cmath>

namespace luup {

namespace {

using json = nlohmann::ordered_json;

// Whether a schema fits OpenAI's strict mode, in which every property is required and no others are allowed.
bool fits_strict(const json & schema) {
    if (schema.is_array()) {
        return std::all_of(schema.begin(), schema.end(), fits_strict);
    }
    if (!schema.is_object()) {
        return true;
    }
    if (schema.value("type", json()) == "object" || schema.contains("properties")) {
        const json & properties = schema.contains("properties") ? schema["properties"] : json::object();
        const json & required   = schema.contains("required") ? schema["required"] : json::array();
        if (schema.value("additionalProperties", json(true)) != false || required.size() != properties.size()) {
            return false;
        }
    }
    return std::all_of(schema.begin(), schema.end(), fits_strict);
}

// Returns for each message whether the user's message that it answers led to tool calls: servers that want their
// reasoning back want it there.
std::vector<bool> in_turns_with_calls(const std::vector<Message> & messages) {
    std::vector<bool> found(messages.size());
    bool              calls = false;
    for (size_t i = messages.size(); i-- > 0;) {  // a call counts for what comes before it, too
        calls    = (calls && messages[i].role != "user") || !messages[i].tool_calls.empty();
        found[i] = calls;
    }
    for (size_t i = 1; i < messages.size(); i++) {
        found[i] = found[i] || (found[i - 1] && messages[i].role != "user");
    }
    return found;
}

// Appends the names of the fields in `extra`.
void note_fields(const std::string & extra, std::vector<std::string> & names) {
    const json fields = extra.empty() ? json::object() : try_read_json(extra);
    for (const auto & [name, value] : fields.items()) {
        if (name == "function") {
            note_fields(value.dump(), names);
        } else {
            names.push_back(name);
        }
    }
}

// Writes a message as the server wants it.
json message_json(const Message & message, bool in_turn_with_calls, RequestForm & form) {
    Message plain = message;
    plain.extra.clear();
    for (ToolCall & call : plain.tool_calls) {
        call.extra.clear();
    }
    json j = to_json(form.fields ? message : plain);
    if (form.fields) {
        note_fields(message.extra, form.sent);
        for (const ToolCall & call : message.tool_calls) {
            note_fields(call.extra, form.sent);
        }
    }
    j.erase("reasoning_content");
    j.erase("name");
    if (!message.reasoning.empty() && !form.reasoning.empty() && (in_turn_with_calls || form.all_reasoning)) {
        j[form.reasoning]   = message.reasoning;
        form.sent_reasoning = true;
    }
    if (message.content.empty() && !message.tool_calls.empty()) {
        form.sent_empty = true;
        if (form.content == EmptyContent::Null) {
            j["content"] = nullptr;
        } else if (form.content == EmptyContent::Absent) {
            j.erase("content");
        }
    }
    return j;
}

// Returns the definitions of all tools, or of the one called `only`.
json tools_json(const ToolSet & tools, const std::string & only) {
    json list = json::array();
    for (const Tool & tool : tools.tools()) {
        if (!only.empty() && tool.name != only) {
            continue;
        }
        list.push_back(read_json(tool.definition, "the tool's definition"));
    }
    return list;
}

// Returns a float as the decimal that it was written as: 0.7, not 0.699999988.
double decimal(float value) {
    return std::round(static_cast<double>(value) * 1e6) / 1e6;
}

void add_sampling(json & body, const Sampling & s) {
    const Sampling usual;
    body["temperature"] = decimal(s.temperature);
    body["top_p"]       = decimal(s.top_p);
    if (s.max_tokens >= 0) {
        body["max_tokens"] = s.max_tokens;
    }
    if (s.seed != LUUP_SEED_RANDOM) {
        body["seed"] = s.seed;
    }
    if (!s.stop.empty()) {
        body["stop"] = s.stop;
    }
    if (s.presence_penalty != 0) {
        body["presence_penalty"] = decimal(s.presence_penalty);
    }
    if (s.frequency_penalty != 0) {
        body["frequency_penalty"] = decimal(s.frequency_penalty);
    }
    for (const LogitBias & bias : s.logit_bias) {
        body["logit_bias"][std::to_string(bias.token)] = decimal(bias.bias);
    }
    if (s.wants_logprobs()) {
        body["logprobs"] = true;
        if (s.top_logprobs > 0) {
            body["top_logprobs"] = s.top_logprobs;
        }
    }
    // Not every server knows these, and some refuse fields that they don't know: send only what was set.
    if (s.top_k != usual.top_k) {
        body["top_k"] = s.top_k;
    }
    if (s.min_p != usual.min_p) {
        body["min_p"] = decimal(s.min_p);
    }
    if (s.repeat_penalty != usual.repeat_penalty) {
        body["repeat_penalty"]     = decimal(s.repeat_penalty);  // llama-server
        body["repetition_penalty"] = decimal(s.repeat_penalty);  // vLLM, SGLang
    }
}

// Only what the user asked for: not every server knows these fields.
void add_reasoning(json & body, const Reasoning & reasoning) {
    const std::string effort    = reasoning_effort(reasoning.level);
    json              arguments = json::object();
    if (!effort.empty()) {
        body["reasoning_effort"] = effort;
    } else if (reasoning.level != Reasoning::Level::Template) {
        arguments["enable_thinking"] = reasoning.level == Reasoning::Level::On;
    }
    if (!reasoning.options.empty()) {
        arguments.update(read_json(reasoning.options, "template_options"));
    }
    if (!arguments.empty()) {
        body["chat_template_kwargs"] = arguments;
    }
    if (reasoning.max_tokens > 0) {
        body["thinking_budget_tokens"] = reasoning.max_tokens;  // llama-server
    }
}

json read_extra_body(const std::string & text) {
    json extra = read_json(text.empty() ? "{}" : text, "extra_body");
    if (!extra.is_object()) {
        fail(LUUP_ERROR_INVALID_PARAM, "extra_body must be a JSON object");
    }
    for (const char * own : { "messages", "stream", "n" }) {
        if (extra.contains(own)) {
            fail(LUUP_ERROR_INVALID_PARAM, "extra_body must not contain \"%s\": the library sets it", own);
        }
    }
    return extra;
}

}  // namespace

ChatCompletions::ChatCompletions(std::string name, const std::string & extra_body, std::shared_ptr<ServerHabits> habits)
    : name_(std::move(name)), extra_body_(read_extra_body(extra_body)), habits_(std::move(habits)) {}

std::string ChatCompletions::body(const ChatCompletionRequest & turn, RequestForm & form) const {
    form                            = habits_->form();
    form.format                     = turn.output && turn.output->schema && habits_->takes_format();
    const std::vector<bool> calling = in_turns_with_calls(turn.messages);
    json                    body    = { { "model", name_ } };
    body["messages"]                = json::array();
    for (size_t i = 0; i < turn.messages.size(); i++) {
        body["messages"].push_back(message_json(turn.messages[i], calling[i], form));
    }
    if (!turn.tools->empty()) {
        const bool named = turn.tool_choice != "auto" && turn.tool_choice != "required" && turn.tool_choice != "none";
        // Not every server can choose a tool by its name, and llama-server silently treats it as "auto": offer that
        // tool alone.
        body["tools"]               = tools_json(*turn.tools, named ? turn.tool_choice : "");
        body["tool_choice"]         = named ? "required" : turn.tool_choice;
        body["parallel_tool_calls"] = turn.parallel;
    }
    if (form.format && habits_->format() == ResponseFormat::JsonObject) {
        body["response_format"] = { { "type", "json_object" } };
    } else if (form.format) {
        json wanted = { { "name", "output" }, { "schema", read_json(turn.output->schema->text(), "the schema") } };
        if (fits_strict(wanted["schema"])) {
            wanted["strict"] = true;
        }
        body["response_format"] = { { "type", "json_schema" }, { "json_schema", wanted } };
    }
    add_sampling(body, turn.sampling);
    add_reasoning(body, turn.sampling.reasoning);
    body["stream"]         = true;
    body["stream_options"] = { { "include_usage", true } };
    body.merge_patch(extra_body_);
    return body.dump();
}

void ChatCompletions::add(const std::shared_ptr<ChatCompletionStream> & answer) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) {
        fail(LUUP_ERROR_CLOSED, "the model %s is closed", name_.c_str());
    }
    answers_.erase(std::remove_if(answers_.begin(), answers_.end(), [](const auto & a) { return a.expired(); }),
                   answers_.end());
    answers_.push_back(answer);
}

void ChatCompletions::close() {
    std::vector<std::weak_ptr<ChatCompletionStream>> answers;
    {
        std::lock_guard<std::mutex> lock(mutex_);
        closed_ = true;
        answers.swap(answers_);
    }
    for (const auto & weak : answers) {
        if (const auto answer = weak.lock()) {
            answer->end({ LUUP_ERROR_CLOSED, "the model " + name_ + " was closed" });
        }
    }
}

}  // namespace luup
