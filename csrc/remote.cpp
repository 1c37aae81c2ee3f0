#include "remote.h"

#include "error.h"
#include "text.h"

#include <algorithm>
#include <cmath>

namespace luup {

namespace {

using json = nlohmann::ordered_json;

constexpr size_t max_calls  = 256;  // of one answer
constexpr size_t max_quoted = 300;  // bytes of a server's own words in an error

std::string quoted(const std::string & text) {
    return text.substr(0, utf8_prefix(text, max_quoted));
}

// A text field; anything else is none. A zero byte would end the text for C programs.
std::string text_of(const json & j, const char * field) {
    const auto found = j.find(field);
    if (found == j.end() || !found->is_string()) {
        return "";
    }
    std::string text = found->get<std::string>();
    for (size_t at = text.find('\0'); at != std::string::npos; at = text.find('\0', at)) {
        text.replace(at, 1, "\xEF\xBF\xBD");
    }
    return text;
}

int32_t count_of(const json & j, const char * field) {
    const auto found = j.find(field);
    if (found == j.end() || !found->is_number()) {
        return 0;
    }
    const double count = found->get<double>();
    return count > 0 && count < INT32_MAX ? static_cast<int32_t>(count) : 0;
}

bool is_object(const json & j, const char * field) {
    return j.contains(field) && j[field].is_object();
}

// A server's words for what went wrong.
Failure failure_of(const json & error) {
    const std::string told    = error.is_string() ? error.get<std::string>() : text_of(error, "message");
    const std::string message = quoted(told.empty() ? error.dump() : told);
    for (const char * field : { "code", "type" }) {
        const std::string kind = error.is_object() ? text_of(error, field) : "";
        if (kind == "context_length_exceeded" || kind == "exceed_context_size_error") {
            return { LUUP_ERROR_CONTEXT_FULL, "the server reports: " + message };
        }
    }
    return { LUUP_ERROR_HTTP_FAILED, "the server reports: " + message };
}

// Strict mode wants every property required and no others.
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

// A message as servers take it: what some of them refuse is left out.
json message_json(const Message & message) {
    json j = to_json(message);
    j.erase("reasoning_content");
    j.erase("name");
    return j;
}

// The definitions of all tools, or of the one called `only`.
json tools_json(const ToolSet & tools, const std::string & only) {
    json list = json::array();
    for (const Tool & tool : tools.tools()) {
        if (!only.empty() && tool.name != only) {
            continue;
        }
        list.push_back(json::parse(tool.definition));
    }
    return list;
}

// A float as it was written: 0.7, not 0.699999988.
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
    // Not every server knows these, and some refuse what they don't know: only what was set is sent.
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

json read_extra_body(const std::string & text) {
    json extra = json::parse(text.empty() ? "{}" : text, nullptr, false);
    if (extra.is_discarded()) {
        fail(LUUP_ERROR_JSON_PARSE_FAILED, "extra_body is not valid JSON");
    }
    if (!extra.is_object()) {
        fail(LUUP_ERROR_INVALID_PARAM, "extra_body is not a JSON object");
    }
    for (const char * own : { "messages", "stream", "n" }) {
        if (extra.contains(own)) {
            fail(LUUP_ERROR_INVALID_PARAM, "extra_body must not have \"%s\": it is the library's to set", own);
        }
    }
    return extra;
}

// The inside of a Markdown block, if the text is one: what models write that are not held to JSON.
std::string without_fence(const std::string & text) {
    const size_t begin = text.find_first_not_of(" \t\r\n");
    const size_t end   = text.find_last_not_of(" \t\r\n");
    if (begin == std::string::npos || text.compare(begin, 3, "```") != 0 || end < begin + 6 || text.compare(end - 2, 3, "```") != 0) {
        return text;
    }
    const size_t line = text.find('\n', begin);
    return line == std::string::npos || line > end ? text : text.substr(line + 1, end - 2 - line - 1);
}

}  // namespace

// ---------------------------------------------------------------------------------------------------------------------
// The model
// ---------------------------------------------------------------------------------------------------------------------

Remote::Remote(std::string name, const std::string & extra_body, ResponseFormat format)
    : name_(std::move(name)), extra_body_(read_extra_body(extra_body)), format_(format) {}

std::string Remote::body(const RemoteTurn & turn, bool format) const {
    json body        = { { "model", name_ } };
    body["messages"] = json::array();
    for (const Message & message : turn.messages) {
        body["messages"].push_back(message_json(message));
    }
    if (!turn.tools->empty()) {
        const bool named = turn.tool_choice != "auto" && turn.tool_choice != "required" && turn.tool_choice != "none";
        // Not every server knows the choice of one tool by its name, and llama-server takes it for "auto" without a word: that tool is offered alone.
        body["tools"]               = tools_json(*turn.tools, named ? turn.tool_choice : "");
        body["tool_choice"]         = named ? "required" : turn.tool_choice;
        body["parallel_tool_calls"] = turn.parallel;
    }
    if (format && format_ == ResponseFormat::JsonObject) {
        body["response_format"] = { { "type", "json_object" } };
    } else if (format) {
        json wanted = { { "name", "output" }, { "schema", json::parse(turn.output->schema->text()) } };
        if (fits_strict(wanted["schema"])) {
            wanted["strict"] = true;
        }
        body["response_format"] = { { "type", "json_schema" }, { "json_schema", wanted } };
    }
    add_sampling(body, turn.sampling);
    body["stream"]         = true;
    body["stream_options"] = { { "include_usage", true } };
    body.merge_patch(extra_body_);
    return body.dump();
}

void Remote::add(const std::shared_ptr<RemoteAnswer> & answer) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) {
        fail(LUUP_ERROR_CLOSED, "the model %s is closed", name_.c_str());
    }
    answers_.erase(std::remove_if(answers_.begin(), answers_.end(), [](const auto & a) { return a.expired(); }), answers_.end());
    answers_.push_back(answer);
}

void Remote::close() {
    std::vector<std::weak_ptr<RemoteAnswer>> answers;
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

// ---------------------------------------------------------------------------------------------------------------------
// An answer
// ---------------------------------------------------------------------------------------------------------------------

RemoteAnswer::RemoteAnswer(std::shared_ptr<Answer::Listener> listener, bool asks_for_format, Clock::time_point begun)
    : asks_for_format_(asks_for_format), begun_(begun), listener_(std::move(listener)) {}

bool RemoteAnswer::may_drop_format() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return asks_for_format_ && listener_ && chunks_ == 0;
}

bool RemoteAnswer::push(const std::string & chunk) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!listener_) {
        return false;
    }
    if (chunk == "[DONE]") {
        if (finish_reason_.empty() && chunks_ > 0) {
            finish_reason_ = "stop";
        }
        finish({});
        return false;
    }
    chunks_++;
    const json value = json::parse(chunk, nullptr, false);
    if (value.is_discarded()) {
        finish({ LUUP_ERROR_JSON_PARSE_FAILED, "part " + std::to_string(chunks_) + " of the server's answer is not JSON: " + quoted(chunk) });
    } else if (!value.is_object()) {
        finish({ LUUP_ERROR_HTTP_FAILED, "part " + std::to_string(chunks_) + " of the server's answer is not a JSON object: " + quoted(chunk) });
    } else {
        take(value);
    }
    return listener_ != nullptr;
}

void RemoteAnswer::take(const Json & chunk) {
    if (chunk.contains("error") && !chunk["error"].is_null()) {
        finish(failure_of(chunk["error"]));
        return;
    }
    if (text_of(chunk, "object") == "error") {
        finish(failure_of(chunk));
        return;
    }
    if (is_object(chunk, "usage")) {
        take_usage(chunk["usage"]);
    }
    if (chunk.contains("choices") && chunk["choices"].is_array()) {
        for (const Json & choice : chunk["choices"]) {
            if (choice.is_object() && listener_ && count_of(choice, "index") == 0) {
                take_choice(choice);
            }
        }
    } else if (!chunk.contains("usage")) {
        finish({ LUUP_ERROR_HTTP_FAILED, "part " + std::to_string(chunks_) + " of the server's answer has no \"choices\": " + quoted(chunk.dump()) });
    }
}

// A server that does not stream gives the whole message at once.
void RemoteAnswer::take_choice(const Json & choice) {
    const char * field = is_object(choice, "delta") ? "delta" : "message";
    if (is_object(choice, field)) {
        const Json &      delta     = choice[field];
        const std::string reasoning = text_of(delta, "reasoning_content");
        tell(reasoning.empty() ? text_of(delta, "reasoning") : reasoning, text_of(delta, "content") + text_of(delta, "refusal"));
        if (delta.contains("tool_calls") && delta["tool_calls"].is_array()) {
            for (size_t i = 0; i < delta["tool_calls"].size() && listener_; i++) {
                take_call(delta["tool_calls"][i], i);
            }
        }
    }
    const std::string reason = text_of(choice, "finish_reason");
    if (!reason.empty()) {
        finish_reason_ = reason;
    }
}

// Fragments belong together by their index. Where a server gives none, a new id begins a new call.
void RemoteAnswer::take_call(const Json & fragment, size_t position) {
    if (!fragment.is_object()) {
        finish({ LUUP_ERROR_HTTP_FAILED, "part " + std::to_string(chunks_) + " of the server's answer has a tool call that is not an object" });
        return;
    }
    const std::string id = text_of(fragment, "id");
    int64_t           index;
    if (fragment.contains("index") && fragment["index"].is_number_integer()) {
        index = fragment["index"].get<int64_t>();
    } else {
        const bool same = last_call_ >= 0 && position == 0 && (id.empty() || id == calls_[last_call_].id);
        index           = same ? last_call_ : last_call_ + 1;
    }
    if (index < 0 || (!calls_.count(index) && calls_.size() >= max_calls)) {
        finish({ LUUP_ERROR_HTTP_FAILED, "the server's answer has more than " + std::to_string(max_calls) + " tool calls, or one of a negative index" });
        return;
    }
    last_call_  = index;
    Call & call = calls_[index];
    if (!id.empty()) {
        call.id = id;
    }
    if (is_object(fragment, "function")) {
        const Json &      function = fragment["function"];
        const std::string name     = text_of(function, "name");
        call.name += name == call.name ? "" : name;  // some servers repeat it
        call.arguments += function.contains("arguments") && function["arguments"].is_object() ? function["arguments"].dump() : text_of(function, "arguments");
    }
    last_  = Clock::now();
    first_ = first_ ? first_ : last_;
}

void RemoteAnswer::take_usage(const Json & usage) {
    metrics_.prompt_tokens = count_of(usage, "prompt_tokens");
    metrics_.answer_tokens = count_of(usage, "completion_tokens");
    if (is_object(usage, "prompt_tokens_details")) {
        metrics_.cached_tokens = std::min(metrics_.prompt_tokens, count_of(usage["prompt_tokens_details"], "cached_tokens"));
    }
}

void RemoteAnswer::tell(const std::string & reasoning, const std::string & text) {
    if (reasoning.empty() && text.empty()) {
        return;
    }
    last_  = Clock::now();
    first_ = first_ ? first_ : last_;
    content_ += text;
    reasoning_ += reasoning;
    listener_->on_answer_text(reasoning, text);
}

void RemoteAnswer::end(const Failure & failure) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!listener_) {
        return;
    }
    // Once the end marker has come, the answer is whole, whatever becomes of the connection.
    const bool lost = failure.code != LUUP_SUCCESS && failure.code != LUUP_ERROR_CLOSED && !finish_reason_.empty();
    if (failure.code == LUUP_SUCCESS && finish_reason_.empty()) {
        finish({ LUUP_ERROR_HTTP_FAILED, "the server's answer ended before it was complete: no finish_reason came" });
    } else {
        finish(lost ? Failure{} : failure);
    }
}

AnswerResult RemoteAnswer::result() const {
    AnswerResult result;
    result.content   = content_;
    result.reasoning = reasoning_;
    result.output    = without_fence(content_);
    result.raw       = content_;
    result.has_calls = !calls_.empty();
    result.bound     = result.has_calls;
    for (const auto & entry : calls_) {
        const Call & call = entry.second;
        result.raw += "\n" + call.name + "(" + call.arguments + ")";
        const std::string arguments = call.arguments.empty() ? "{}" : call.arguments;
        if (call.name.empty()) {
            result.problem = "a call has no name";
        } else if (!json::parse(arguments, nullptr, false).is_object()) {
            result.problem = "the arguments of " + call.name.substr(0, 80) + " are not a JSON object";
        }
        result.calls.push_back({ call.id, call.name, arguments });
    }
    return result;
}

void RemoteAnswer::finish(const Failure & told) {
    Failure failure = told;
    if (failure.code == LUUP_SUCCESS && finish_reason_.empty()) {
        failure = { LUUP_ERROR_HTTP_FAILED, "the server's answer is empty" };
    } else if (failure.code == LUUP_SUCCESS && finish_reason_ == "content_filter") {
        failure = { LUUP_ERROR_INFERENCE_FAILED, "the server's content filter ended the answer" };
    } else if (failure.code == LUUP_SUCCESS && finish_reason_ == "error") {
        failure = { LUUP_ERROR_INFERENCE_FAILED, "the server ended the answer with an error" };
    }
    const auto seconds = [](Clock::time_point from, Clock::time_point to) { return std::chrono::duration<double>(to - from).count(); };
    if (first_) {
        metrics_.prefill_seconds     = seconds(requested_, *first_);
        metrics_.first_token_seconds = seconds(begun_, *first_);
        metrics_.decode_seconds      = seconds(*first_, *last_);
    }
    const auto listener = std::move(listener_);  // a run holds its answer, and the answer its run
    listener->on_answer_end(result(), finish_reason_ == "length" ? LUUP_FINISH_LENGTH : LUUP_FINISH_STOP, failure, metrics_);
}

}  // namespace luup
