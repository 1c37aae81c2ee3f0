#include "agent/turn_log.h"

#include <chrono>
#include <utility>

namespace luup {

namespace {

using json = nlohmann::ordered_json;

json text_or_null(const std::string & text) {
    return text.empty() ? json() : json(text);
}

json finish_json(luup_finish_reason reason, bool has_calls) {
    switch (reason) {
        case LUUP_FINISH_STOP: return has_calls ? "tool_calls" : "stop";
        case LUUP_FINISH_LENGTH: return "length";
        default: return json();
    }
}

json calls_json(const std::vector<ToolCall> & calls) {
    json list = json::array();
    for (const ToolCall & call : calls) {
        list.push_back({ { "id", call.id }, { "name", call.name }, { "arguments", call.arguments } });
    }
    return list;
}

}  // namespace

void TurnLog::begin(const std::string & model, bool is_answer, TurnPrompt prompt, double began, double now) {
    Entry entry;
    entry.model     = model;
    entry.is_answer = is_answer;
    entry.prompt    = std::move(prompt);
    entry.began     = began;
    entry.began_unix =
        std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count() - (now - began);
    entries_.push_back(std::move(entry));
    open_ = true;
}

void TurnLog::end(const AnswerResult & answer, luup_finish_reason reason, const Failure & failure,
                  const Metrics & metrics, double now) {
    if (!open_) {
        return;  // choices are scored without a log
    }
    open_           = false;
    Entry & entry   = entries_.back();
    entry.ended     = now;
    entry.raw       = answer.raw;
    entry.text      = answer.content;
    entry.reasoning = answer.reasoning;
    entry.has_calls = answer.has_calls;
    entry.reason    = failure.code == LUUP_SUCCESS ? reason : LUUP_FINISH_NONE;
    entry.failure   = failure;
    entry.decisions = answer.decisions;
    entry.metrics   = metrics;
}

void TurnLog::set_calls(const std::vector<ToolCall> & calls) {
    if (!entries_.empty()) {
        entries_.back().calls     = calls;
        entries_.back().has_calls = true;
    }
}

void TurnLog::reject(const std::string & problem) {
    if (!entries_.empty()) {
        entries_.back().problem = problem;
    }
}

json TurnLog::entry_json(const Entry & entry) {
    const Metrics & m = entry.metrics;
    json            j = {
        { "kind", entry.is_answer ? "answer" : "summary" },
        { "model", entry.model },
        { "raw", entry.raw },
        { "text", entry.text },
        { "reasoning", entry.reasoning },
        { "calls", calls_json(entry.calls) },
        { "finish_reason", finish_json(entry.reason, entry.has_calls) },
        { "problem", text_or_null(entry.problem) },
        { "error", entry.failure.code == LUUP_SUCCESS ? json() : json(entry.failure.message) },
        { "error_code", entry.failure.code },
        { "decisions", entry.decisions },
        { "began_seconds", entry.began },
        { "ended_seconds", entry.ended },
        { "began_unix_seconds", entry.began_unix },
        { "queue_seconds", m.queue_seconds },
        { "prefill_seconds", m.prefill_seconds },
        { "decode_seconds", m.decode_seconds },
        { "first_token_seconds", m.first_token_seconds },
        { "prompt_tokens", m.prompt_tokens },
        { "cached_tokens", m.cached_tokens },
        { "recomputed_tokens", m.recomputed_tokens },
        { "answer_tokens", m.answer_tokens },
        { "reasoning_tokens", m.thought_tokens },
    };
    if (!entry.prompt.text.empty()) {
        j["prompt"]     = entry.prompt.text;
        j["prompt_ids"] = entry.prompt.tokens;
    }
    return j;
}

json TurnLog::to_json(size_t first) const {
    json         list  = json::array();
    const size_t ended = entries_.size() - (open_ ? 1 : 0);
    for (size_t i = first; i < ended; i++) {
        list.push_back(entry_json(entries_[i]));
    }
    return list;
}

}  // namespace luup
