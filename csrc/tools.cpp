#include "tools.h"

#include "error.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace luup {

namespace {

using json = nlohmann::ordered_json;

constexpr size_t max_tools       = 1024;
constexpr size_t max_name_length = 64;
constexpr size_t max_result      = 16000;  // bytes of a built-in tool's result, for a model
constexpr char   no_parameters[] = R"({"type":"object","properties":{},"additionalProperties":false})";

bool is_name(const std::string & name) {
    const auto fits = [](unsigned char c) { return c < 128 && (std::isalnum(c) || c == '_' || c == '-'); };
    return !name.empty() && name.size() <= max_name_length && std::all_of(name.begin(), name.end(), fits);
}

// The rules of a grammar are named for the tools, with letters, digits and "-" only.
std::string rule_name(const std::string & name) {
    std::string rule;
    for (char c : name) {
        if (c != '_') {
            rule += c;
        } else if (rule.empty() || rule.back() != '-') {
            rule += '-';
        }
    }
    return rule;
}

// JSON has one kind of numbers, the languages that tools are written in have two.
void to_decimals(json & value, const json & schema) {
    constexpr double exact = 9007199254740992;  // 2^53
    if (!schema.is_object()) {
        return;
    }
    const std::string type = schema.contains("type") && schema["type"].is_string() ? schema["type"].get<std::string>() : "";
    if (value.is_number_integer() && type == "number" && std::fabs(value.get<double>()) <= exact) {
        value = value.get<double>();
    } else if (value.is_array() && schema.contains("items")) {
        for (json & item : value) {
            to_decimals(item, schema["items"]);
        }
    } else if (value.is_object()) {
        for (const auto & property : value.items()) {
            const bool known = schema.contains("properties") && schema["properties"].contains(property.key());
            if (known || schema.contains("additionalProperties")) {
                to_decimals(property.value(), known ? schema["properties"][property.key()] : schema["additionalProperties"]);
            }
        }
    }
}

std::string text_of(const json & j, const char * field) {
    return j.contains(field) && j[field].is_string() ? j[field].get<std::string>() : "";
}

std::string definition_of(const Tool & tool) {
    json function = { { "name", tool.name } };
    if (!tool.description.empty()) {
        function["description"] = tool.description;
    }
    function["parameters"] = json::parse(tool.parameters->text());
    return json{ { "type", "function" }, { "function", function } }.dump();
}

}  // namespace

Tool make_tool(const std::string & name, const std::string & description, const std::string & parameters) {
    if (!is_name(name)) {
        fail(LUUP_ERROR_INVALID_PARAM, "a tool's name must be 1 to %zu letters, digits, \"_\" or \"-\", not \"%.80s\"", max_name_length, name.c_str());
    }
    Tool tool = { name, description, nullptr, "" };
    try {
        tool.parameters = Schema::compile(parameters.empty() ? no_parameters : parameters);
    } catch (const Error & e) {
        fail(e.code(), "the parameters of the tool %s: %s", name.c_str(), e.what());
    }
    if (!tool.parameters->is_object()) {
        fail(LUUP_ERROR_INVALID_SCHEMA, "the parameters of the tool %s: the schema must say \"type\": \"object\"", name.c_str());
    }
    tool.definition = definition_of(tool);
    return tool;
}

Tool make_builtin_tool(const std::string & name, const std::string & description, const std::string & parameters, decltype(Tool::builtin) function) {
    Tool tool    = make_tool(name, description, parameters);
    tool.builtin = std::move(function);
    return tool;
}

json call_builtin(const Tool & tool, const std::string & arguments) {
    const json        values  = json::parse(arguments, nullptr, false);
    const std::string problem = values.is_object() ? tool.parameters->validate(values) : "they are not a JSON object";
    if (!problem.empty()) {
        fail(LUUP_ERROR_INVALID_PARAM, "the arguments of %s: %s", tool.name.c_str(), problem.c_str());
    }
    return tool.builtin(values);
}

std::string text_for_model(const json & result) {
    const auto  dump = [](const json & j) { return j.dump(-1, ' ', false, json::error_handler_t::replace); };
    std::string text = dump(result);
    if (text.size() <= max_result || !result.is_array()) {
        return text;
    }
    std::string entries;
    size_t      first = result.size();
    while (first > 0) {
        const std::string entry = dump(result[first - 1]);
        if (entries.size() + entry.size() > max_result) {
            break;
        }
        entries = entry + (entries.empty() ? "" : ",") + entries;
        first--;
    }
    return "[" + entries + "]\n[the " + std::to_string(first) + " oldest of " + std::to_string(result.size()) + " are left out]";
}

std::string typed_arguments(const Tool & tool, json arguments) {
    to_decimals(arguments, json::parse(tool.parameters->text()));
    return arguments.dump();
}

ToolSet::ToolSet(std::vector<Tool> tools) : tools_(std::move(tools)) {
    if (tools_.size() > max_tools) {
        fail(LUUP_ERROR_INVALID_PARAM, "%zu tools are too many; at most %zu are possible", tools_.size(), max_tools);
    }
    for (size_t i = 0; i < tools_.size(); i++) {
        for (size_t k = 0; k < i; k++) {
            if (rule_name(tools_[i].name) == rule_name(tools_[k].name)) {
                fail(LUUP_ERROR_INVALID_PARAM, "the tools \"%s\" and \"%s\" have the same name but for \"_\" and \"-\"", tools_[k].name.c_str(),
                     tools_[i].name.c_str());
            }
        }
    }
    single_.resize(tools_.size());
}

std::shared_ptr<const ToolSet> ToolSet::parse(const std::string & text, const std::vector<Tool> & builtins) {
    const json list = json::parse(text, nullptr, false);
    if (list.is_discarded()) {
        fail(LUUP_ERROR_JSON_PARSE_FAILED, "tools is not valid JSON");
    }
    if (!list.is_array()) {
        fail(LUUP_ERROR_INVALID_PARAM, "tools is not a JSON array");
    }
    std::vector<Tool> tools;
    for (size_t i = 0; i < list.size(); i++) {
        if (list[i].is_object() && text_of(list[i], "type") == "builtin") {
            tools.insert(tools.end(), builtins.begin(), builtins.end());
            continue;
        }
        if (!list[i].is_object() || !list[i].contains("function") || !list[i]["function"].is_object()) {
            fail(LUUP_ERROR_INVALID_PARAM, "tools[%zu] is not an object with a \"function\"", i);
        }
        const json & function   = list[i]["function"];
        const bool   parameters = function.contains("parameters") && !function["parameters"].is_null();
        tools.push_back(make_tool(text_of(function, "name"), text_of(function, "description"), parameters ? function["parameters"].dump() : ""));
    }
    return std::make_shared<const ToolSet>(std::move(tools));
}

const Tool * ToolSet::find(const std::string & name) const {
    const auto found = std::find_if(tools_.begin(), tools_.end(), [&](const Tool & tool) { return tool.name == name; });
    return found == tools_.end() ? nullptr : &*found;
}

std::shared_ptr<const ToolSet> ToolSet::only(const std::string & name) const {
    const Tool * tool = find(name);
    if (!tool) {
        fail(LUUP_ERROR_TOOL_NOT_FOUND, "there is no tool \"%.80s\"", name.c_str());
    }
    std::lock_guard<std::mutex> lock(mutex_);
    auto &                      slot = single_[static_cast<size_t>(tool - tools_.data())];
    if (!slot) {
        slot = std::make_shared<const ToolSet>(std::vector<Tool>{ *tool });
    }
    return slot;
}

}  // namespace luup
