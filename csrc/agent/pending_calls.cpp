#include "agent/pending_calls.h"

#include "base/json.h"
#include "base/error.h"
#include "base/log.h"

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

// An id that a model wrote in another form may be refused by its own template.
bool is_call_id(const std::string & id) {
    return id.size() == 9 &&
           std::all_of(id.begin(), id.end(), [](unsigned char c) { return c < 128 && std::isalnum(c); });
}

// Why a call can't be made, for the model; "" if it can.
std::string check_call(const ToolCall & call, const ToolSet & tools) {
    const Tool * tool = tools.find(call.name);
    if (!tool) {
        return "there is no tool \"" + call.name.substr(0, 80) + "\"";
    }
    const json arguments = try_read_json(call.arguments);
    return arguments.is_object() ? tool->parameters->validate(arguments) : "the arguments are not a JSON object";
}

PendingCalls::Result call_one(size_t index, const Tool & tool, const ToolCall & call) {
    try {
        return { index, call, text_for_model(call_builtin(tool, call.arguments)), false };
    } catch (...) {
        const Failure failure = current_failure();
        if (failure.code != LUUP_ERROR_INVALID_PARAM) {
            log_write(LUUP_LOG_WARN, "the built-in tool " + call.name + " failed: " + failure.message);
        }
        return { index, call, "Error: " + failure.message, true };
    }
}

}  // namespace

void normalize_calls(std::vector<ToolCall> & calls, const ToolSet & tools,
                     const std::optional<std::set<std::string>> & server_ids) {
    std::set<std::string> taken = server_ids.value_or(std::set<std::string>());
    for (ToolCall & call : calls) {
        const bool usable = server_ids ? !call.id.empty() : is_call_id(call.id);
        if (!usable || !taken.insert(call.id).second) {
            call.id = new_call_id();
            taken.insert(call.id);
        }
        if (const Tool * tool = tools.find(call.name)) {
            call.arguments = typed_arguments(*tool, call.arguments);
        }
    }
}

std::set<std::string> call_ids(const std::vector<Message> & messages) {
    std::set<std::string> ids;
    for (const Message & message : messages) {
        for (const ToolCall & call : message.tool_calls) {
            ids.insert(call.id);
        }
    }
    return ids;
}

PendingCalls::PendingCalls(const std::vector<ToolCall> & calls, const ToolSet & tools) {
    for (const ToolCall & call : calls) {
        const std::string problem = check_call(call, tools);
        calls_.push_back({ call, problem.empty() ? std::nullopt : std::optional<std::string>("Error: " + problem) });
    }
}

bool PendingCalls::has_builtins(const ToolSet & tools) const {
    return std::any_of(calls_.begin(), calls_.end(),
                       [&](const Pending & p) { return !p.result && tools.find(p.call.name)->builtin; });
}

std::vector<PendingCalls::Result> PendingCalls::refused() const {
    std::vector<Result> results;
    for (size_t i = 0; i < calls_.size(); i++) {
        if (calls_[i].result) {
            results.push_back({ i, calls_[i].call, *calls_[i].result, true });
        }
    }
    return results;
}

std::vector<PendingCalls::Result> PendingCalls::call_builtins(const ToolSet & tools) const {
    std::vector<Result> results;
    for (size_t i = 0; i < calls_.size(); i++) {
        const ToolCall & call = calls_[i].call;
        const Tool *     tool = calls_[i].result ? nullptr : tools.find(call.name);
        if (tool && tool->builtin) {
            results.push_back(call_one(i, *tool, call));
        }
    }
    return results;
}

bool PendingCalls::waits_for(const std::string & id) const {
    return std::any_of(calls_.begin(), calls_.end(), [&](const Pending & p) { return p.call.id == id && !p.result; });
}

bool PendingCalls::complete() const {
    return std::all_of(calls_.begin(), calls_.end(), [](const Pending & p) { return p.result.has_value(); });
}

bool PendingCalls::answer(const std::string & id, const std::string & result) {
    const auto pending =
        std::find_if(calls_.begin(), calls_.end(), [&](const Pending & p) { return p.call.id == id && !p.result; });
    if (pending == calls_.end()) {
        return false;
    }
    pending->result = result;
    return true;
}

std::vector<ToolCall> PendingCalls::open() const {
    std::vector<ToolCall> calls;
    for (const Pending & pending : calls_) {
        if (!pending.result) {
            calls.push_back(pending.call);
        }
    }
    return calls;
}

std::vector<Message> PendingCalls::messages(const std::optional<std::string> & missing) const {
    std::vector<Message> messages;
    for (const Pending & pending : calls_) {
        if (pending.result || missing) {
            messages.push_back(Message::tool_result(pending.call, pending.result ? *pending.result : *missing));
        }
    }
    return messages;
}

}  // namespace luup
