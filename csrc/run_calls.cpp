// What a run does with the calls of a turn: the built-in tools' are answered here, the others are handed to the host.
#include "run.h"

#include "error.h"
#include "log.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <random>

namespace luup {

namespace {

using json = nlohmann::ordered_json;

// Nine letters and digits: the form that every template accepts.
std::string new_call_id() {
    static constexpr char               alphabet[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    static thread_local std::mt19937_64 random{ std::random_device{}() };
    std::string                         id;
    for (int i = 0; i < 9; i++) {
        id += alphabet[random() % (sizeof(alphabet) - 1)];
    }
    return id;
}

// What a model writes as an id may be refused by its own template.
bool is_call_id(const std::string & id) {
    return id.size() == 9 && std::all_of(id.begin(), id.end(), [](unsigned char c) { return c < 128 && std::isalnum(c); });
}

}  // namespace

void Run::take_calls(AnswerResult & answer) {
    std::vector<ToolCall> & calls = answer.calls;
    if (!answer.problem.empty()) {
        reject(answer.raw, "the tool call could not be read: " + answer.problem);
        return;
    }
    if (calls.empty()) {
        finish(LUUP_FINISH_NONE, { LUUP_ERROR_INVALID_OUTPUT, "the model began a tool call and made none" });
        return;
    }
    for (ToolCall & call : calls) {
        const auto taken = [&](const ToolCall & other) { return &other != &call && other.id == call.id; };
        if (!is_call_id(call.id) || std::any_of(calls.begin(), calls.end(), taken)) {
            call.id = new_call_id();
        }
        const json   arguments = json::parse(call.arguments, nullptr, false);
        const Tool * tool      = request_.tools->find(call.name);
        if (arguments.is_object()) {
            call.arguments = tool ? typed_arguments(*tool, arguments) : arguments.dump();
        }
    }
    added_.push_back({ "assistant", answer.content, answer.reasoning, calls, "", "" });
    rejected_.clear();
    made_.insert(made_.end(), calls.begin(), calls.end());
    await_results(calls);
}

void Run::await_results(const std::vector<ToolCall> & calls) {
    pending_.clear();
    bool builtins = false;
    for (const ToolCall & call : calls) {
        const std::string problem = check_call(call);
        pending_.push_back({ call, problem.empty() ? std::nullopt : std::optional<std::string>("Error: " + problem) });
        builtins = builtins || (problem.empty() && request_.tools->find(call.name)->builtin);
    }
    if (builtins) {
        enter(State::Builtins);  // their files may make us wait, which the engine's thread never does
        wake();
    } else {
        tell_calls();
    }
}

// Answers the calls of built-in tools. `lock` is on mutex_.
void Run::call_builtins(std::unique_lock<std::mutex> & lock) {
    state_                                 = State::Answering;  // no other thread does it
    const std::vector<PendingCall> pending = pending_;
    std::vector<Event>             events(pending.size(), { LUUP_EVENT_NONE });
    lock.unlock();
    for (size_t i = 0; i < pending.size(); i++) {
        const ToolCall & call = pending[i].call;
        const Tool *     tool = pending[i].result ? nullptr : request_.tools->find(call.name);
        if (tool && tool->builtin) {
            Event & event = events[i] = { LUUP_EVENT_TOOL_RESULT, "", 0, 0, call.id, call.name, 0, call.arguments, false };
            try {
                event.text = text_for_model(call_builtin(*tool, call.arguments));
            } catch (...) {
                const Failure failure = current_failure();
                event.text            = "Error: " + failure.message;
                event.is_error        = true;
                if (failure.code != LUUP_ERROR_INVALID_PARAM) {
                    log_write(LUUP_LOG_WARN, "the built-in tool " + call.name + " failed: " + failure.message);
                }
            }
        }
    }
    lock.lock();
    if (state_ == State::Ended) {
        return;
    }
    for (size_t i = 0; i < events.size(); i++) {
        if (events[i].type != LUUP_EVENT_NONE) {
            pending_[i].result = events[i].text;
            push(std::move(events[i]));
        }
    }
    tell_calls();
}

// Hands the calls that have no result yet to the host.
void Run::tell_calls() {
    std::vector<Event> events;
    for (const PendingCall & pending : pending_) {
        if (!pending.result) {
            events.push_back({ LUUP_EVENT_TOOL_CALL, pending.call.arguments, 0, 0, pending.call.id, pending.call.name, 0 });
        }
    }
    enter(State::Tools);
    for (size_t i = 0; i < events.size(); i++) {
        events[i].calls_left = static_cast<int32_t>(events.size() - 1 - i);
        push(events[i]);
    }
    if (events.empty()) {
        commit_results();
        next_turn();
    }
}

// Why a call can't be made, for the model; "" if it can.
std::string Run::check_call(const ToolCall & call) const {
    const Tool * tool = request_.tools->find(call.name);
    if (!tool) {
        return "there is no tool \"" + call.name.substr(0, 80) + "\"";
    }
    const json arguments = json::parse(call.arguments, nullptr, false);
    return arguments.is_object() ? tool->parameters->validate(arguments) : "the arguments are not a JSON object";
}

void Run::commit_results() {
    for (PendingCall & pending : pending_) {
        if (pending.result) {
            added_.push_back({ "tool", *pending.result, "", {}, pending.call.id, pending.call.name });
        }
    }
    pending_.clear();
}

}  // namespace luup
