#include "chat/thinking_switch.h"

#include "base/json.h"

#include "common/jinja/lexer.h"

#include <algorithm>
#include <vector>

namespace luup {

namespace {

using Level = Reasoning::Level;

// The names of the arguments, as the templates of well-known models have them.
constexpr const char * switches[] = { "enable_thinking", "thinking", "reasoning" };  // true or false
constexpr const char * efforts[]  = { "reasoning_effort", "thinking_effort", "reasoning_strength" };
constexpr const char * mode       = "thinking_mode";
constexpr const char * budget     = "thinking_budget";  // tokens

// The words for each level, the best first. Templates that know a word for "off" do not think without one.
std::vector<std::string> words_for(Level level) {
    switch (level) {
        case Level::Off: return { "no_think", "none", "minimal", "low" };
        case Level::Low: return { "low", "minimal", "medium", "high" };
        case Level::Medium: return { "medium", "high", "low" };
        default: return { "high", "max", "medium" };
    }
}

std::string quoted(const std::string & text) {
    return Json(text).dump();
}

}  // namespace

ThinkingSwitch::ThinkingSwitch(const std::string & source) {
    jinja::lexer lexer;
    const auto   tokens = lexer.tokenize(source).tokens;
    for (size_t i = 0; i < tokens.size(); i++) {
        const bool field = i > 0 && tokens[i - 1].t == jinja::token::dot;
        if (tokens[i].t == jinja::token::identifier && !field) {
            names_.insert(tokens[i].value);
        } else if (tokens[i].t == jinja::token::string_literal) {
            texts_.insert(tokens[i].value);
        }
    }
}

TemplateArguments ThinkingSwitch::find(Level                                                  level,
                                       const std::function<bool(const TemplateArguments &)> & renders) const {
    TemplateArguments arguments;
    for (const char * name : switches) {
        if (names_.count(name) > 0) {
            arguments[name] = level == Level::Off ? "false" : "true";
        }
    }
    const char * const state = level == Level::Off ? "disabled" : "enabled";
    if (names_.count(mode) > 0 && texts_.count(state) > 0) {
        arguments[mode] = quoted(state);
    }
    const bool off_has_word =
        texts_.count("no_think") > 0 || (texts_.count("none") > 0 && names_.count("reasoning_effort") > 0);
    for (const char * name : efforts) {
        // Without a level the template's own effort counts, unless it may be without thoughts.
        if (names_.count(name) == 0 || (level == Level::On && texts_.count("no_think") == 0)) {
            continue;
        }
        for (const std::string & word : words_for(level)) {
            const bool for_off = word == "no_think" || word == "none" || word == "minimal";
            if (for_off && texts_.count(word) == 0) {
                continue;
            }
            if (level == Level::Off && !for_off && off_has_word) {
                break;
            }
            TemplateArguments more = arguments;
            more[name]             = quoted(word);
            if (renders(more)) {
                arguments = std::move(more);
                break;
            }
        }
    }
    return arguments;
}

TemplateArguments ThinkingSwitch::arguments(const Reasoning &                                      reasoning,
                                            const std::function<bool(const TemplateArguments &)> & renders) const {
    TemplateArguments arguments;
    if (reasoning.level != Level::Template) {
        std::unique_lock<std::mutex> lock(mutex_);
        const auto                   known = found_.find(reasoning.level);
        if (known != found_.end()) {
            arguments = known->second;
        } else {
            lock.unlock();
            arguments = find(reasoning.level, renders);
            lock.lock();
            found_.emplace(reasoning.level, arguments);
        }
        if (names_.count(budget) > 0) {
            arguments[budget] = std::to_string(reasoning.budget());
        }
    }
    if (!reasoning.options.empty()) {
        const Json options = read_json(reasoning.options, "template_options");
        for (const auto & [name, value] : options.items()) {
            arguments[name] = value.dump();
        }
    }
    const auto effort = arguments.find("reasoning_effort");
    if (effort != arguments.end() && names_.count("reasoning_strength") > 0) {
        arguments.emplace("reasoning_strength",
                          effort->second);  // llama-common would set it as the template's own text
    }
    return arguments;
}

}  // namespace luup
