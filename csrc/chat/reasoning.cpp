#include "chat/reasoning.h"

#include "base/error.h"
#include "base/json.h"

namespace luup {

namespace {

struct NamedLevel {
    const char *     name;
    Reasoning::Level level;
    int32_t          budget;  // tokens
};

// A model that thinks for longer than the usual budget mostly repeats itself; the prompt and the answer have to
// fit into a context of 8,192 tokens beside it.
constexpr int32_t usual_budget = 2048;

// The most options that a chat template gets.
constexpr size_t most_options = 1000;

constexpr NamedLevel levels[] = {
    { "", Reasoning::Level::Template, usual_budget },
    { "on", Reasoning::Level::On, usual_budget },
    { "off", Reasoning::Level::Off, 0 },
    { "low", Reasoning::Level::Low, usual_budget / 4 },
    { "medium", Reasoning::Level::Medium, usual_budget },
    { "high", Reasoning::Level::High, usual_budget * 4 },
};

}  // namespace

int32_t Reasoning::budget() const {
    if (max_tokens >= 0) {
        return max_tokens;
    }
    for (const NamedLevel & each : levels) {
        if (each.level == level) {
            return each.budget;
        }
    }
    return usual_budget;
}

void Reasoning::check() const {
    if (max_tokens < -1) {
        fail(LUUP_ERROR_INVALID_PARAM, "max_reasoning_tokens must be at least 0, or -1 for the usual number, got %d",
             max_tokens);
    }
    if (options.empty()) {
        return;
    }
    std::string problem;
    const Json  values = try_read_json(options, &problem);
    if (!values.is_object()) {
        fail(LUUP_ERROR_INVALID_PARAM, "template_options %s",
             values.is_discarded() ? problem.c_str() : "must be a JSON object");
    }
    if (values.size() > most_options) {
        fail(LUUP_ERROR_INVALID_PARAM, "template_options has %zu options; at most %zu are allowed", values.size(),
             most_options);
    }
    for (const char * own :
         { "messages", "tools", "add_generation_prompt", "bos_token", "eos_token", "datetime", "date_string" }) {
        if (values.contains(own)) {
            fail(LUUP_ERROR_INVALID_PARAM, "template_options must not contain \"%s\": the library sets it", own);
        }
    }
}

Reasoning::Level reasoning_level(const std::string & name) {
    for (const NamedLevel & each : levels) {
        if (name == each.name) {
            return each.level;
        }
    }
    fail(LUUP_ERROR_INVALID_PARAM,
         "reasoning must be \"on\", \"off\", \"low\", \"medium\" or \"high\", or NULL for the template's own, not "
         "\"%.40s\"",
         name.c_str());
}

std::string reasoning_effort(Reasoning::Level level) {
    for (const NamedLevel & each : levels) {
        if (each.level == level && level > Reasoning::Level::On) {
            return each.name;
        }
    }
    return "";
}

}  // namespace luup
