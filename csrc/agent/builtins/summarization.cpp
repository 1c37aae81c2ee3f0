#include "agent/builtins/summarization.h"

#include "base/error.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <utility>

namespace luup {

namespace {

using json = nlohmann::ordered_json;

constexpr char action_parameters[] = R"({"type": "object", "properties": {
    "action": {"enum": ["status", "trigger", "enable", "disable"],
               "description": "status: how it is set; trigger: do it now; enable, disable: turn it on or off."}},
    "required": ["action"], "additionalProperties": false})";

// A float as it was written: 0.4, not 0.400000006.
double decimal(float value) {
    return std::round(static_cast<double>(value) * 1e6) / 1e6;
}

}  // namespace

void Summarization::set(const Settings & settings) {
    if (!(settings.threshold > 0 && settings.threshold <= 1)) {
        fail(LUUP_ERROR_INVALID_PARAM, "threshold must be more than 0 and at most 1, not %g",
             static_cast<double>(settings.threshold));
    }
    if (!(settings.keep >= 0 && settings.keep < 1)) {
        fail(LUUP_ERROR_INVALID_PARAM, "keep must be at least 0 and less than 1, not %g",
             static_cast<double>(settings.keep));
    }
    std::lock_guard<std::mutex> lock(mutex_);
    settings_ = settings;
}

Summarization::Settings Summarization::settings() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return settings_;
}

void Summarization::on_summarized() {
    std::lock_guard<std::mutex> lock(mutex_);
    settings_.due = false;
    summaries_++;
}

json Summarization::status() const {
    return { { "enabled", settings_.enabled },
             { "threshold", decimal(settings_.threshold) },
             { "keep", decimal(settings_.keep) },
             { "due", settings_.due },
             { "summaries", summaries_ } };
}

json Summarization::act(const std::string & action) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (action == "trigger") {
        settings_.due = true;
    } else if (action != "status") {
        settings_.enabled = action == "enable";
        settings_.due     = settings_.due && settings_.enabled;
    }
    return status();
}

Tool Summarization::make_tool(std::shared_ptr<Summarization> state) {
    return make_builtin_tool(
        tool_name, "Replaces the old part of this conversation by a summary of it, to make room.", action_parameters,
        [state = std::move(state)](const json & a) { return state->act(a.at("action").get<std::string>()); });
}

}  // namespace luup
