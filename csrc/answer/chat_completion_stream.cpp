#include "answer/chat_completion_stream.h"

#include "answer/finish_reason.h"
#include "answer/server_logprobs.h"

#include <algorithm>

namespace luup {

namespace {

// Returns the failure that a server's error object describes.
Failure failure_of(const Json & error) {
    const std::string text    = error.is_string() ? error.get<std::string>() : text_of(error, "message");
    const std::string message = quoted(text.empty() ? error.dump() : text);
    for (const char * field : { "code", "type" }) {
        const std::string kind = error.is_object() ? text_of(error, field) : "";
        if (kind == "context_length_exceeded" || kind == "exceed_context_size_error") {
            return { LUUP_ERROR_CONTEXT_FULL, "the server reports: " + message };
        }
    }
    return { LUUP_ERROR_HTTP_FAILED, "the server reports: " + message };
}

// Returns the content of each Markdown block of a text.
std::vector<std::string> fenced_blocks(const std::string & text) {
    std::vector<std::string> blocks;
    size_t                   fence = text.find("```");
    while (fence != std::string::npos) {
        const size_t line = text.find('\n', fence);
        const size_t end  = line == std::string::npos ? line : text.find("```", line);
        if (end == std::string::npos) {
            break;
        }
        blocks.push_back(text.substr(line + 1, end - line - 1));
        fence = text.find("```", end + 3);
    }
    return blocks;
}

// Returns the JSON in a text: where nothing enforces JSON, models write it in a Markdown block.
std::string json_in(const std::string & text) {
    if (is_nested_too_deeply(text)) {
        return "";
    }
    if (text.find("```") == std::string::npos || !try_read_json(text).is_discarded()) {
        return text;
    }
    const std::vector<std::string> blocks = fenced_blocks(text);
    const auto                     valid =
        std::find_if(blocks.begin(), blocks.end(), [](const auto & b) { return !try_read_json(b).is_discarded(); });
    return valid != blocks.end() ? *valid : blocks.empty() ? text : blocks.front();
}

// The fields for reasoning, the usual one first.
constexpr const char * reasoning_fields[] = { "reasoning_content", "reasoning", "thinking" };

// The fields of a message that have a place of their own here, or that are ignored.
constexpr const char * known_fields[] = { "role",
                                          "content",
                                          "refusal",
                                          "reasoning_content",
                                          "reasoning",
                                          "tool_calls",
                                          "thinking",
                                          "function_call",
                                          "tool_call_id",
                                          "audio",
                                          "name",
                                          "index",
                                          "id" };

// Returns a server's finish_reason, or the field of another API that means the same.
std::string finish_reason_of(const Json & choice) {
    const std::string reason = text_of(choice, "finish_reason");
    return reason.empty() ? text_of(choice, "done_reason") : reason;
}

}  // namespace

ChatCompletionStream::ChatCompletionStream(std::shared_ptr<Answer::Listener> listener,
                                           std::shared_ptr<const ToolSet> tools, std::shared_ptr<ServerHabits> habits,
                                           Clock::time_point begun)
    : begun_(begun), habits_(std::move(habits)), listener_(std::move(listener)), calls_(std::move(tools)) {}

bool ChatCompletionStream::untouched() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return listener_ && chunks_ == 0;
}

bool ChatCompletionStream::push(const std::string & chunk) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!listener_) {
        return false;
    }
    if (chunk == "[DONE]") {
        if (finish_reason_.empty() && answered_) {
            finish_reason_ = "stop";
        }
        finish({});
        return false;
    }
    chunks_++;
    marked_ = false;
    if (is_nested_too_deeply(chunk)) {
        finish(finish_reason_.empty()
                   ? Failure{ LUUP_ERROR_JSON_PARSE_FAILED,
                              "part " + std::to_string(chunks_) + " of the server's answer is nested too deeply" }
                   : Failure{});
        return false;
    }
    Json value = try_read_json(chunk);
    if (value.is_discarded()) {
        const std::string marked = mark_surrogates(chunk);
        marked_                  = marked != chunk;
        value                    = marked_ ? try_read_json(marked) : value;
    }
    if (value.is_object()) {
        take(value);
    } else if (!finish_reason_.empty()) {
        finish({});  // the answer is complete, whatever follows
    } else if (value.is_discarded()) {
        finish({ LUUP_ERROR_JSON_PARSE_FAILED,
                 "part " + std::to_string(chunks_) + " of the server's answer is not JSON: " + quoted(chunk) });
    } else if (!value.is_null()) {
        refuse("is not a JSON object: " + quoted(chunk));
    }
    return listener_ != nullptr;
}

// Ends the answer because of the chunk under way.
void ChatCompletionStream::refuse(const std::string & problem) {
    finish({ LUUP_ERROR_HTTP_FAILED, "part " + std::to_string(chunks_) + " of the server's answer " + problem });
}

void ChatCompletionStream::take(const Json & chunk) {
    const bool failed = (chunk.contains("error") && !chunk["error"].is_null()) || text_of(chunk, "object") == "error";
    if (failed) {
        finish(!finish_reason_.empty()   ? Failure{}
               : chunk.contains("error") ? failure_of(chunk["error"])
                                         : failure_of(chunk));
        return;
    }
    if (is_object(chunk, "usage")) {
        take_usage(chunk["usage"]);
    } else if (is_object(chunk, "x_groq") && is_object(chunk["x_groq"], "usage")) {
        take_usage(chunk["x_groq"]["usage"]);
    }
    const auto choices = chunk.find("choices");
    if (choices != chunk.end() && choices->is_array() && !choices->empty()) {
        for (const Json & choice : *choices) {
            if (choice.is_object() && listener_ && count_of(choice, "index") == 0) {
                take_choice(choice);
            }
        }
    } else if (choices != chunk.end() && choices->is_object()) {
        take_choice(*choices);
    } else if (is_object(chunk, "message")) {  // Ollama's own API
        take_choice(chunk);
    } else if (unknown_.empty() && !chunk.empty()) {
        unknown_ = quoted(chunk.dump(-1, ' ', false, Json::error_handler_t::replace));
    }
}

// Takes a delta, or the whole message of a server that does not stream.
void ChatCompletionStream::take_choice(const Json & choice) {
    answered_ = true;
    if (choice.contains("error") && !choice["error"].is_null()) {
        finish(failure_of(choice["error"]));
        return;
    }
    if (is_object(choice, "logprobs")) {
        const std::string more = read_logprobs(choice["logprobs"]);
        logprobs_ += (logprobs_.empty() || more.empty() ? "" : ",") + more;
    }
    if (is_object(choice, "delta") && !choice["delta"].empty()) {
        take_message(choice["delta"], false);
    } else if (is_object(choice, "message")) {
        take_message(choice["message"], true);
    } else if (choice.contains("text") && choice["text"].is_string()) {  // the API of plain completions
        take_message({ { "content", choice["text"] } }, false);
    }
    const std::string reason = finish_reason_of(choice);
    if (!reason.empty() && listener_) {
        finish_reason_ = reason;
    }
}

void ChatCompletionStream::take_message(const Json & message, bool whole) {
    take_content(message, whole);
    const auto calls = message.find("tool_calls");
    if (calls != message.end() && (calls->is_array() || calls->is_object()) && listener_) {
        const std::string problem = calls_.add(*calls, whole);
        if (!problem.empty()) {
            refuse("has " + problem);
            return;
        }
        note_time();
    }
    if (is_object(message, "function_call")) {
        calls_.add_function(message["function_call"]);
        note_time();
    }
    for (const auto & [name, value] : message.items()) {
        if (std::find(std::begin(known_fields), std::end(known_fields), name) == std::end(known_fields)) {
            merge_fields(extra_, { { name, value } });
        }
    }
}

void ChatCompletionStream::take_content(const Json & message, bool whole) {
    ServerText   found;
    const auto   content = message.find("content");
    const char * used    = nullptr;
    if (content != message.end() && content->is_string()) {
        found.text = without_zeros(content->get<std::string>());
    } else if (content != message.end()) {
        found = read_content(*content);
    }
    if (found.odd && unknown_.empty()) {
        unknown_ = quoted(message.dump(-1, ' ', false, Json::error_handler_t::replace));
    }
    if (whole && !content_.empty() && found.text == content_) {
        found.text.clear();  // some servers repeat the whole message at the end of a stream
    }
    for (const char * field : reasoning_fields) {
        const std::string reasoning = used ? "" : text_of(message, field);
        if (!reasoning.empty()) {
            used = field;
            found.reasoning += reasoning;
        }
    }
    if (used && habits_) {
        habits_->saw_reasoning(used);
    }
    // OpenRouter's details repeat the text of these fields, where a provider sends them.
    const auto details = message.find("reasoning_details");
    if (found.reasoning.empty() && details != message.end() && details->is_array()) {
        found.reasoning += read_content(*details).reasoning;
    }
    if (!found.reasoning.empty()) {
        thoughts_.turn_off();
    }
    const auto delta = thoughts_.push(text_halves_.push(found.text, marked_));
    emit(reasoning_halves_.push(found.reasoning, marked_) + delta.reasoning, delta.text + text_of(message, "refusal"));
}

// Keeps the counts of an earlier chunk where this one has none.
void ChatCompletionStream::take_usage(const Json & usage) {
    const auto keep = [&](int32_t & count, std::initializer_list<const char *> fields) {
        for (const char * field : fields) {
            const int32_t found = count_of(usage, field);
            if (found > 0) {
                count = found;
                return;
            }
        }
    };
    keep(metrics_.prompt_tokens, { "prompt_tokens", "input_tokens" });
    keep(metrics_.answer_tokens, { "completion_tokens", "output_tokens" });
    keep(metrics_.cached_tokens, { "prompt_cache_hit_tokens", "cached_tokens" });
    if (is_object(usage, "prompt_tokens_details")) {
        const int32_t cached   = count_of(usage["prompt_tokens_details"], "cached_tokens");
        metrics_.cached_tokens = cached > 0 ? cached : metrics_.cached_tokens;
    }
    if (is_object(usage, "completion_tokens_details")) {
        const int32_t thoughts  = count_of(usage["completion_tokens_details"], "reasoning_tokens");
        metrics_.thought_tokens = thoughts > 0 ? thoughts : metrics_.thought_tokens;
    }
    metrics_.thought_tokens = std::min(metrics_.answer_tokens, metrics_.thought_tokens);
    metrics_.cached_tokens  = std::min(metrics_.prompt_tokens, metrics_.cached_tokens);
}

void ChatCompletionStream::note_time() {
    last_  = Clock::now();
    first_ = first_ ? first_ : last_;
}

void ChatCompletionStream::emit(const std::string & reasoning, const std::string & text) {
    if (reasoning.empty() && text.empty()) {
        return;
    }
    note_time();
    if (text.empty()) {
        logprobs_.clear();  // those of thoughts
    } else if (!logprobs_.empty()) {
        listener_->on_answer_logprobs(std::exchange(logprobs_, ""));
    }
    content_ += text;
    reasoning_ += reasoning;
    listener_->on_answer_text(reasoning, text, 0);
}

void ChatCompletionStream::end(const Failure & failure) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!listener_) {
        return;
    }
    // Once there is a finish_reason the answer is complete, whatever happens to the connection.
    const bool lost = failure.code != LUUP_SUCCESS && failure.code != LUUP_ERROR_CLOSED && !finish_reason_.empty();
    if (failure.code == LUUP_SUCCESS && finish_reason_.empty() && (answered_ || unknown_.empty())) {
        finish({ LUUP_ERROR_HTTP_FAILED, "the server's answer ended before it was complete: no finish_reason came" });
    } else {
        finish(lost ? Failure{} : failure);
    }
}

AnswerResult ChatCompletionStream::result() const {
    AnswerResult result;
    result.content   = content_;
    result.reasoning = reasoning_;
    result.output    = json_in(content_);
    result.raw       = content_;
    result.extra     = extra_.empty() ? "" : extra_.dump(-1, ' ', false, Json::error_handler_t::replace);
    result.has_calls = !calls_.empty();
    result.bound     = result.has_calls;
    calls_.write(result);
    return result;
}

// Returns the failure of an answer whose connection has ended without an error; success if the answer is complete.
Failure ChatCompletionStream::failure_at_end() const {
    if (!answered_ && !unknown_.empty()) {
        return { LUUP_ERROR_HTTP_FAILED, "the server's answer has no \"choices\": " + unknown_ };
    }
    if (!answered_ || finish_reason_.empty()) {
        return { LUUP_ERROR_HTTP_FAILED, "the server's answer is empty" };
    }
    const ServerFinish kind = read_finish_reason(finish_reason_);
    if (kind == ServerFinish::Filter) {
        return { LUUP_ERROR_INFERENCE_FAILED, "the server's content filter ended the answer" };
    }
    if (kind == ServerFinish::Failed) {
        return { LUUP_ERROR_INFERENCE_FAILED,
                 "the server ended the answer with an error: its finish_reason is \"" + quoted(finish_reason_) + "\"" };
    }
    if (content_.empty() && reasoning_.empty() && calls_.empty() && !unknown_.empty()) {
        return { LUUP_ERROR_HTTP_FAILED, "the server's answer has no text: " + unknown_ };
    }
    return {};
}

void ChatCompletionStream::finish(Failure failure) {
    const auto rest = thoughts_.push(text_halves_.finish());
    const auto held = thoughts_.finish();
    emit(rest.reasoning + held.reasoning + reasoning_halves_.finish(), rest.text + held.text);
    if (failure.code == LUUP_SUCCESS) {
        failure = failure_at_end();
    }
    const auto seconds = [](Clock::time_point from, Clock::time_point to) {
        return std::chrono::duration<double>(to - from).count();
    };
    if (first_) {
        metrics_.prefill_seconds     = seconds(requested_, *first_);
        metrics_.first_token_seconds = seconds(begun_, *first_);
        metrics_.decode_seconds      = seconds(*first_, *last_);
    }
    if (!logprobs_.empty() && !content_.empty()) {
        listener_->on_answer_logprobs(std::exchange(logprobs_, ""));
    }
    const bool   cut      = read_finish_reason(finish_reason_) == ServerFinish::Length;
    AnswerResult answer   = result();
    const auto   listener = std::move(listener_);  // breaks the cycle: the run holds its answer, too
    listener->on_answer_end(std::move(answer), cut ? LUUP_FINISH_LENGTH : LUUP_FINISH_STOP, failure, metrics_);
}

}  // namespace luup
