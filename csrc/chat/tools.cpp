#include "chat/tools.h"

#include "base/json.h"
#include "base/error.h"
#include "chat/grammar_edits.h"

#include <algorithm>
#include <cmath>
#include <map>

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

// Writes JSON text again with whole numbers as decimals where the schema says "number": JSON has one type for both, the
// languages that tools are written in have two. Other numbers keep the text that they have: a parsed value would lose
// the digits of an integer beyond 64 bits.
class DecimalWriter : public json::json_sax_t {
  public:
    explicit DecimalWriter(const json & schema) : next_(&schema) {}

    const std::string & text() const { return text_; }

    bool null() override { return write("null"); }

    bool boolean(bool value) override { return write(value ? "true" : "false"); }

    bool number_integer(number_integer_t value) override { return write_integer(value); }

    bool number_unsigned(number_unsigned_t value) override { return write_integer(value); }

    bool number_float(number_float_t, const string_t & digits) override { return write(digits); }

    bool string(string_t & value) override { return write(json(value).dump()); }

    bool binary(binary_t &) override { return false; }

    bool start_object(size_t) override { return begin("{", "}"); }

    bool end_object() override { return end(); }

    bool start_array(size_t) override { return begin("[", "]"); }

    bool end_array() override { return end(); }

    bool key(string_t & name) override {
        separate();
        text_ += json(name).dump() + ":";
        open_.back().empty  = true;  // no comma before the value
        const json & schema = *open_.back().schema;
        const bool   known  = has(schema, "properties") && schema["properties"].contains(name);
        next_               = known                                 ? &schema["properties"][name]
                              : has(schema, "additionalProperties") ? &schema["additionalProperties"]
                                                                    : &any_;
        return true;
    }

    bool parse_error(size_t, const std::string &, const nlohmann::detail::exception &) override { return false; }

  private:
    struct Open {
        const json * schema;
        std::string  end;
        bool         is_array;
        bool         empty = true;
    };

    static bool has(const json & schema, const char * keyword) {
        return schema.is_object() && schema.contains(keyword);
    }

    const json & next() {
        if (!open_.empty() && open_.back().is_array) {
            const json & schema = *open_.back().schema;
            return has(schema, "items") ? schema["items"] : any_;
        }
        return *next_;
    }

    void separate() {
        if (!open_.empty() && !open_.back().empty) {
            text_ += ",";
        }
        if (!open_.empty()) {
            open_.back().empty = false;
        }
    }

    bool write(const std::string & value) {
        separate();
        text_ += value;
        return true;
    }

    template <typename Integer> bool write_integer(Integer value) {
        constexpr double exact  = 9007199254740992;  // 2^53
        const json &     schema = next();
        const bool       number = has(schema, "type") && schema["type"] == "number";
        const auto       real   = static_cast<double>(value);
        return write(number && std::fabs(real) <= exact ? json(real).dump() : std::to_string(value));
    }

    bool begin(const char * start, const char * end) {
        const json & schema = next();
        write(start);
        open_.push_back({ &schema, end, *end == ']' });
        return true;
    }

    bool end() {
        text_ += open_.back().end;
        open_.pop_back();
        return true;
    }

    const json        any_ = json::object();
    const json *      next_;  // the schema of the next value, unless that is in an array
    std::vector<Open> open_;
    std::string       text_;
};

std::string text_of(const json & j, const char * field) {
    return j.contains(field) && j[field].is_string() ? j[field].get<std::string>() : "";
}

std::string definition_of(const Tool & tool, const std::string & parameters) {
    json function = { { "name", tool.name } };
    if (!tool.description.empty()) {
        function["description"] = tool.description;
    }
    function["parameters"] = read_json(parameters, "the schema");
    return json{ { "type", "function" }, { "function", function } }.dump();
}

}  // namespace

Tool make_tool(const std::string & name, const std::string & description, const std::string & parameters,
               SchemaCache * schemas) {
    if (!is_name(name)) {
        fail(LUUP_ERROR_INVALID_PARAM, "a tool's name must be 1 to %zu letters, digits, \"_\" or \"-\", not \"%.80s\"",
             max_name_length, name.c_str());
    }
    Tool tool;
    tool.name        = name;
    tool.description = description;
    try {
        const std::string text    = parameters.empty() ? no_parameters : parameters;
        const auto        compile = [&] { return Schema::compile(text); };
        tool.parameters           = schemas ? schemas->get(text, compile) : compile();
    } catch (const Error & e) {
        fail(e.code(), "the parameters of the tool %s: %s", name.c_str(), e.what());
    }
    if (!tool.parameters->is_object()) {
        fail(LUUP_ERROR_INVALID_SCHEMA, "the parameters of the tool %s: the schema must have \"type\": \"object\"",
             name.c_str());
    }
    tool.definition        = definition_of(tool, tool.parameters->text());
    tool.prompt_definition = definition_of(tool, tool.parameters->prompt_text());
    return tool;
}

Tool make_builtin_tool(const std::string & name, const std::string & description, const std::string & parameters,
                       decltype(Tool::builtin) function) {
    Tool tool    = make_tool(name, description, parameters);
    tool.builtin = std::move(function);
    return tool;
}

json call_builtin(const Tool & tool, const std::string & arguments) {
    const json        values  = read_json(arguments, "the arguments of " + tool.name);
    const std::string problem = values.is_object() ? tool.parameters->validate(values) : "must be a JSON object";
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
    return "[" + entries + "]\n[the " + std::to_string(first) + " oldest of " + std::to_string(result.size()) +
           " are left out]";
}

std::string typed_arguments(const Tool & tool, const std::string & arguments) {
    const json    schema = read_json(tool.parameters->text(), "the schema");
    DecimalWriter writer(schema);
    return visit_json(arguments, writer) ? writer.text() : arguments;
}

std::string compact_json(const std::string & text) {
    const json    any = json::object();
    DecimalWriter writer(any);
    return visit_json(text, writer) ? writer.text() : text;
}

ToolSet::ToolSet(std::vector<Tool> tools) : tools_(std::move(tools)) {
    if (tools_.size() > max_tools) {
        fail(LUUP_ERROR_INVALID_PARAM, "a run can have at most %zu tools, got %zu", max_tools, tools_.size());
    }
    std::map<std::string, const Tool *> rules;
    for (const Tool & tool : tools_) {
        const auto [other, is_new] = rules.emplace(grammar_rule_name(tool.name), &tool);
        if (!is_new) {
            fail(LUUP_ERROR_INVALID_PARAM,
                 "the names of the tools \"%s\" and \"%s\" differ only in \"_\" and \"-\"; rename one",
                 other->second->name.c_str(), tool.name.c_str());
        }
    }
}

std::shared_ptr<const ToolSet> ToolSet::parse(const std::string & text, const std::vector<Tool> & builtins,
                                              SchemaCache * schemas) {
    const json list = read_json(text, "tools");
    if (!list.is_array()) {
        fail(LUUP_ERROR_INVALID_PARAM, "tools must be a JSON array");
    }
    std::vector<Tool> tools;
    for (size_t i = 0; i < list.size(); i++) {
        if (list[i].is_object() && text_of(list[i], "type") == "builtin") {
            tools.insert(tools.end(), builtins.begin(), builtins.end());
            continue;
        }
        if (!list[i].is_object() || !list[i].contains("function") || !list[i]["function"].is_object()) {
            fail(LUUP_ERROR_INVALID_PARAM, "tools[%zu] must be an object with a \"function\" object", i);
        }
        const json & function   = list[i]["function"];
        const bool   parameters = function.contains("parameters") && !function["parameters"].is_null();
        tools.push_back(make_tool(text_of(function, "name"), text_of(function, "description"),
                                  parameters ? function["parameters"].dump() : "", schemas));
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
    return std::make_shared<const ToolSet>(std::vector<Tool>{ *tool });
}

std::string ToolSet::definitions() const {
    std::string text;
    for (const Tool & tool : tools_) {
        text += tool.definition + '\n';
    }
    return text;
}

}  // namespace luup
