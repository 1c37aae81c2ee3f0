#include "chat/native_format.h"

#include "base/json.h"
#include "chat/conversion.h"
#include "base/interrupt.h"
#include "chat/grammar_edits.h"

#include "common/chat.h"

#include <algorithm>

namespace luup {

namespace {

using json = nlohmann::ordered_json;

constexpr size_t max_alternative = 2000;  // characters; std::regex recurses once for each

// Return the length of the longest part of a regular expression without a "|".
size_t longest_alternative(const std::string & pattern) {
    size_t longest = 0;
    for (size_t begin = 0; begin <= pattern.size();) {
        const size_t end = std::min(pattern.find('|', begin), pattern.size());
        longest          = std::max(longest, end - begin);
        begin            = end + 1;
    }
    return longest;
}

// A schema for which llama.cpp writes a rule of its own, which bind_arguments() then replaces.
json placeholder() {
    return { { "type", "object" }, { "properties", { { "x", { { "type", "null" } } } } }, { "required", { "x" } } };
}

// Return whether an argument may be a string. Formats with tags write strings without quotes, so that llama.cpp's
// parser has to know which arguments are strings.
bool is_text(const json & schema) {
    if (!schema.is_object()) {
        return true;
    }
    const std::string text = schema.dump();
    return text.find("\"string\"") != std::string::npos || text.find("\"enum\"") != std::string::npos ||
           text.find("\"const\"") != std::string::npos || text.find("\"$ref\"") != std::string::npos ||
           !schema.contains("type");
}

// Return the strings that a schema lists as the only possible values; empty if it does not.
std::vector<std::string> listed_strings(const json & schema) {
    json values = json::array();
    if (schema.is_object() && schema.contains("const")) {
        values = { schema["const"] };
    } else if (schema.is_object() && schema.contains("enum") && schema["enum"].is_array()) {
        values = schema["enum"];
    }
    const bool strings = std::all_of(values.begin(), values.end(), [](const json & v) { return v.is_string(); });
    return strings ? values.get<std::vector<std::string>>() : std::vector<std::string>();
}

// Return the parameters of a tool with placeholders for all arguments that are not text. `listed`: also for those whose
// strings are listed, so that llama.cpp's grammar shows the text around a value that is not free text.
json placeholders(const json & parameters, bool listed) {
    json copy = { { "type", "object" }, { "properties", json::object() }, { "required", json::array() } };
    if (parameters.contains("properties") && parameters["properties"].is_object()) {
        for (const auto & property : parameters["properties"].items()) {
            const bool text = is_text(property.value()) && !(listed && !listed_strings(property.value()).empty());
            copy["properties"][property.key()] = text ? property.value() : placeholder();
        }
    }
    if (parameters.contains("required")) {
        copy["required"] = parameters["required"];
    }
    for (const char * key : { "$defs", "definitions" }) {
        if (parameters.contains(key)) {
            copy[key] = parameters[key];
        }
    }
    return copy;
}

// Return the schema of an argument, with the definitions that it may refer to.
json argument_schema(const json & parameters, json schema) {
    for (const char * key : { "$defs", "definitions" }) {
        if (parameters.contains(key) && schema.is_object()) {
            schema[key] = parameters[key];
        }
    }
    return schema;
}

// Replace every rule that llama.cpp wrote for the arguments of a tool by the grammar of the tool's own schema.
void bind_arguments(CallGrammar & grammar, const ToolSet & tools) {
    for (const Tool & tool : tools.tools()) {
        check_interruption();
        grammar.bind(grammar_rule_name("tool-" + tool.name + "-schema"), *tool.parameters);
        const json parameters = read_json(tool.parameters->text(), "the schema");
        const json properties = parameters.value("properties", json::object());
        for (const auto & property : properties.items()) {
            const std::string name = grammar_rule_name("tool-" + tool.name + "-arg-" + property.key() + "-schema");
            if (grammar.has(name)) {
                grammar.bind(name, *Schema::compile(argument_schema(parameters, property.value()).dump()));
            }
        }
    }
}

bool lists_strings(const ToolSet & tools) {
    return std::any_of(tools.tools().begin(), tools.tools().end(), [](const Tool & tool) {
        const json parameters = read_json(tool.parameters->text(), "the schema");
        const json properties = parameters.value("properties", json::object());
        return std::any_of(properties.begin(), properties.end(),
                           [](const json & schema) { return !listed_strings(schema).empty(); });
    });
}

// Formats with tags leave every string free. Where the schema lists the possible strings, allow only these.
void restrict_arguments(CallGrammar & grammar, const CallGrammar & others, const ToolSet & tools) {
    for (const Tool & tool : tools.tools()) {
        check_interruption();
        const json parameters = read_json(tool.parameters->text(), "the schema");
        const json properties = parameters.value("properties", json::object());
        grammar.limit_repeats(grammar_rule_name("tool-" + tool.name), properties.size());
        for (const auto & property : properties.items()) {
            grammar.restrict_argument(grammar_rule_name("tool-" + tool.name + "-arg-" + property.key()),
                                      listed_strings(property.value()), others);
        }
    }
}

common_chat_templates_inputs inputs_for(const ToolSet & tools, bool parallel, bool listed) {
    auto inputs                = prompt_inputs({ to_common(Message::user("Hello")) }, true);
    inputs.tool_choice         = COMMON_CHAT_TOOL_CHOICE_AUTO;
    inputs.parallel_tool_calls = parallel;
    for (const Tool & tool : tools.tools()) {
        inputs.tools.push_back({ tool.name, tool.description,
                                 placeholders(read_json(tool.parameters->text(), "the schema"), listed).dump() });
    }
    return inputs;
}

// Return the markers of the format that may be control tokens.
std::vector<std::string> find_markers(const common_chat_params & params, const std::string & grammar,
                                      const std::vector<std::string> & controls) {
    std::vector<std::string> markers = params.preserved_tokens;
    for (const std::string & name : controls) {
        const std::string quoted = json(name).dump();
        if (grammar.find(quoted.substr(1, quoted.size() - 2)) != std::string::npos) {
            markers.push_back(name);
        }
    }
    return markers;
}

std::shared_ptr<const common_chat_parser_params> load_parser(const common_chat_params & params) {
    auto parser = std::make_shared<common_chat_parser_params>(params);
    parser->parser.load(params.parser);
    parser->reasoning_format = COMMON_REASONING_FORMAT_AUTO;
    return parser;
}

}  // namespace

std::shared_ptr<ToolFormat> native_format(const common_chat_templates * templates, const ToolSet & tools, bool parallel,
                                          const FormatTraits & traits, const llama_vocab * vocab) {
    auto        inputs = inputs_for(tools, parallel, false);
    auto        params = common_chat_templates_apply(templates, inputs);
    auto        format = std::make_shared<ToolFormat>();
    CallGrammar grammar(params.grammar);
    if (params.grammar.empty() || !params.grammar_lazy) {
        // No marker begins a call: it is plain JSON, and can only be the beginning of an answer.
        inputs.tool_choice = COMMON_CHAT_TOOL_CHOICE_REQUIRED;
        params             = common_chat_templates_apply(templates, inputs);
        grammar            = CallGrammar(params.grammar);
        if (!grammar.has("tool-call")) {
            return nullptr;
        }
        grammar.set("root", "tool-call");
        format->triggers   = { "{" };
        format->only_first = true;
    }
    for (const auto & trigger : params.grammar_triggers) {
        if (trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_WORD) {
            format->triggers.push_back(trigger.value);
        } else if (trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN) {
            if (longest_alternative(trigger.value) > max_alternative) {
                return nullptr;
            }
            format->patterns.emplace_back(trigger.value);
        } else {
            return nullptr;
        }
    }
    if (format->patterns.empty() && !format->only_first) {
        format->opening = format->triggers.front();
    }
    grammar.tighten(parallel);
    if (traits.tight_ends) {
        grammar.tighten_ends();
    }
    bind_arguments(grammar, tools);
    if (grammar.text().find("-arg-") != std::string::npos) {  // a format with tags
        auto listed        = inputs_for(tools, parallel, true);
        listed.tool_choice = inputs.tool_choice;
        restrict_arguments(
            grammar,
            lists_strings(tools) ? CallGrammar(common_chat_templates_apply(templates, listed).grammar) : grammar,
            tools);
    }
    if (!traits.prelude.empty() && grammar.has("root")) {
        grammar.rename("root", "luup-calls");
        grammar.set("root", json(traits.prelude).dump() + "? space luup-calls");
        format->triggers.insert(format->triggers.begin(), traits.prelude);
        format->opening = traits.prelude;
    }
    const std::string text = grammar.text();
    format->grammar        = Grammar::parse(text, vocab);
    format->markers        = find_markers(params, text, traits.controls);
    format->parser         = load_parser(params);
    find_tokens(*format, parallel, vocab);
    return format;
}

}  // namespace luup
