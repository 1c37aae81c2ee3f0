#include "tool_format.h"

#include "chat.h"
#include "error.h"

#include "common/chat.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <regex>
#include <sstream>

namespace luup {

namespace {

using json = nlohmann::ordered_json;

constexpr char call_begin[] = "<tool_call>";
constexpr char call_end[]   = "</tool_call>";

// A schema that llama.cpp makes a rule of its own for; the rule is then replaced by ours.
json placeholder() {
    return { { "type", "object" }, { "properties", { { "x", { { "type", "null" } } } } }, { "required", { "x" } } };
}

// Formats with tags write strings without quotes; the parser must know which parameters are strings.
bool is_text(const json & schema) {
    if (!schema.is_object()) {
        return true;
    }
    const std::string text = schema.dump();
    return text.find("\"string\"") != std::string::npos || text.find("\"enum\"") != std::string::npos || text.find("\"const\"") != std::string::npos ||
           text.find("\"$ref\"") != std::string::npos || !schema.contains("type");
}

// The strings that a schema lists as all there are; empty if it does not.
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

// `listed`: also for parameters whose strings are listed, so that llama.cpp shows what stands around a value that is no free text.
json placeholders(const json & parameters, bool listed) {
    json copy = { { "type", "object" }, { "properties", json::object() }, { "required", json::array() } };
    if (parameters.contains("properties") && parameters["properties"].is_object()) {
        for (const auto & property : parameters["properties"].items()) {
            const bool text                    = is_text(property.value()) && !(listed && !listed_strings(property.value()).empty());
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

// As llama.cpp names its rules.
std::string rule_name(const std::string & name) {
    static const std::regex other("[^a-zA-Z0-9-]+");
    return std::regex_replace(name, other, "-");
}

// The rules of a grammar, a line each.
class Rules {
  public:
    explicit Rules(const std::string & text) {
        std::istringstream lines(text);
        for (std::string line; std::getline(lines, line);) {
            const size_t at = line.find(" ::= ");
            if (at != std::string::npos) {
                rules_[line.substr(0, at)] = line.substr(at + 5);
            }
        }
    }

    bool has(const std::string & name) const { return rules_.count(name) > 0; }
    void set(const std::string & name, const std::string & body) { rules_[name] = body; }

    // One blank at most between two things, and no blanks without end between calls.
    void tighten(bool parallel) {
        set("space", "[ \\n]?");
        for (auto & rule : rules_) {
            replace(rule.second, "(tool-call? space)+", "(tool-call space)+");
        }
        // What ends a call is written, not left out.
        static const std::regex optional_end(R"re(("[^"\\]+")\?$)re");
        for (auto & rule : rules_) {
            if (rule.first.compare(0, 5, "tool-") == 0) {
                rule.second = std::regex_replace(rule.second, optional_end, "$1");
            }
        }
        // Where each call has a tag of its own, a list within one tag is no second way.
        const bool repeated = has("tool-calls") && rules_["tool-calls"] == "(tool-call space)+";
        if (repeated && has("tool-call")) {
            static const std::regex list(R"( \(space "," space \([^()]*\)\)\*)");
            rules_["tool-call"] = std::regex_replace(rules_["tool-call"], list, "");
        }
        if (repeated && !parallel) {
            rules_["tool-calls"] = "tool-call space";
        }
    }

    // llama.cpp's parser of arguments in tags looks for the end right behind the last one.
    void tighten_ends() {
        static const std::regex blank(R"re(\) space ("</))re");
        if (has("tool-call")) {
            rules_["tool-call"] = std::regex_replace(rules_["tool-call"], blank, ") $1");
        }
    }

    std::string get(const std::string & name) const {
        const auto found = rules_.find(name);
        return found == rules_.end() ? "" : found->second;
    }

    // No argument without end: in tags, the optional ones may come in any order, each once or so.
    void limit_repeats(const std::string & name, size_t n) {
        static const std::regex repeat(R"re((\(space \([^()]*-arg-[^()]*\)\))\*)re");
        if (has(name)) {
            rules_[name] = std::regex_replace(rules_[name], repeat, "$1{0," + std::to_string(n) + "}");
        }
    }

    void rename_root(const std::string & name) {
        rules_[name] = rules_["root"];
        rules_.erase("root");
    }

    static void replace(std::string & text, const std::string & from, const std::string & to) {
        const size_t at = text.find(from);
        if (at != std::string::npos) {
            text.replace(at, from.size(), to);
        }
    }

    // Puts our grammar of `schema` in the place of the rule `name`, if it is there.
    void bind(const std::string & name, const Schema & schema) {
        if (!has(name)) {
            return;
        }
        const std::string start = "luup-" + std::to_string(count_++);
        const Rules       ours(schema.grammar(start, Spacing::OneSpace));
        rules_.insert(ours.rules_.begin(), ours.rules_.end());
        rules_[name] = start;
    }

    std::string text() const {
        std::string out;
        for (const auto & rule : rules_) {
            out += rule.first + " ::= " + rule.second + "\n";
        }
        return out;
    }

  private:
    std::map<std::string, std::string> rules_;
    int                                count_ = 0;
};

// Binds every rule that llama.cpp made for the arguments of a tool to the tool's own schema.
void bind_arguments(Rules & rules, const ToolSet & tools) {
    for (const Tool & tool : tools.tools()) {
        rules.bind(rule_name("tool-" + tool.name + "-schema"), *tool.parameters);
        const json parameters = json::parse(tool.parameters->text());
        if (!parameters.contains("properties")) {
            continue;
        }
        for (const auto & property : parameters["properties"].items()) {
            const std::string name = rule_name("tool-" + tool.name + "-arg-" + property.key() + "-schema");
            if (!rules.has(name)) {
                continue;
            }
            json schema = property.value();
            for (const char * key : { "$defs", "definitions" }) {
                if (parameters.contains(key) && schema.is_object()) {
                    schema[key] = parameters[key];
                }
            }
            rules.bind(name, *Schema::compile(schema.dump()));
        }
    }
}

bool lists_strings(const ToolSet & tools) {
    return std::any_of(tools.tools().begin(), tools.tools().end(), [](const Tool & tool) {
        const json parameters = json::parse(tool.parameters->text());
        const json properties = parameters.value("properties", json::object());
        return std::any_of(properties.begin(), properties.end(), [](const json & schema) { return !listed_strings(schema).empty(); });
    });
}

// Formats with tags leave every string free. Where a schema lists the strings that there are, these are all that may come; `others` are the
// rules that llama.cpp makes for the same parameters if they are no strings, which end as these do.
void bind_listed(Rules & rules, const Rules & others, const ToolSet & tools) {
    static const std::regex free_text(R"re( (ac-\d+|xml-arg-string|until-\d+ "[^"]*")$)re");
    for (const Tool & tool : tools.tools()) {
        const json parameters = json::parse(tool.parameters->text());
        const json properties = parameters.value("properties", json::object());
        rules.limit_repeats(rule_name("tool-" + tool.name), properties.size());
        for (const auto & property : properties.items()) {
            const auto        values = listed_strings(property.value());
            const std::string name   = rule_name("tool-" + tool.name + "-arg-" + property.key());
            const std::string other  = others.get(name);
            const size_t      schema = other.find(" " + name + "-schema ");
            std::smatch       match;
            const std::string body = rules.get(name);
            if (values.empty() || schema == std::string::npos || !std::regex_search(body, match, free_text)) {
                continue;
            }
            std::string choice;
            for (const std::string & value : values) {
                choice += (choice.empty() ? "" : " | ") + json(value).dump();
            }
            rules.set(name, body.substr(0, static_cast<size_t>(match.position(0))) + " (" + choice + ") " + other.substr(schema + name.size() + 9));
        }
    }
}

common_chat_templates_inputs sample_inputs(const ToolSet & tools, bool parallel, bool listed = false) {
    common_chat_templates_inputs inputs;
    common_chat_msg              message;
    message.role                 = "user";
    message.content              = "Hello";
    inputs.messages              = { message };
    inputs.parallel_tool_calls   = parallel;
    inputs.reasoning_format      = COMMON_REASONING_FORMAT_AUTO;
    inputs.add_generation_prompt = true;
    for (const Tool & tool : tools.tools()) {
        inputs.tools.push_back({ tool.name, tool.description, placeholders(json::parse(tool.parameters->text()), listed).dump() });
    }
    return inputs;
}

std::string own_call(const ToolCall & call) {
    const json arguments = json::parse(call.arguments, nullptr, false);
    return std::string(call_begin) + "\n{\"name\": " + json(call.name).dump() + ", \"arguments\": " + (arguments.is_object() ? arguments.dump() : "{}") + "}\n" + call_end;
}

void add_tokens(ToolFormat & format, bool parallel, const llama_vocab * vocab) {
    format.opening_tokens = tokenize_text(vocab, format.opening, false, true);
    for (const std::string & marker : format.markers) {
        const auto tokens = tokenize_text(vocab, marker, false, true);
        if (tokens.size() == 1) {
            format.marker_tokens.push_back(tokens[0]);
        }
    }
    for (const char * between : { "\n", "", " " }) {
        if (parallel && !format.opening.empty()) {
            format.next_openings.push_back({ between + format.opening, tokenize_text(vocab, between + format.opening, false, true) });
        }
    }
}

}  // namespace

std::shared_ptr<const ToolFormat> native_format(const common_chat_templates * templates, const ToolSet & tools, bool parallel, const FormatTraits & traits,
                                                const llama_vocab * vocab) {
    auto               inputs = sample_inputs(tools, parallel);
    common_chat_params params = common_chat_templates_apply(templates, inputs);
    auto               format = std::make_shared<ToolFormat>();
    Rules              rules(params.grammar);
    if (params.grammar.empty() || !params.grammar_lazy) {
        // Without a marker a call is just JSON: it can only be the answer's beginning.
        inputs.tool_choice = COMMON_CHAT_TOOL_CHOICE_REQUIRED;
        params             = common_chat_templates_apply(templates, inputs);
        rules              = Rules(params.grammar);
        if (!rules.has("tool-call")) {
            return nullptr;
        }
        rules.set("root", "tool-call");
        format->triggers   = { "{" };
        format->only_first = true;
    }
    for (const auto & trigger : params.grammar_triggers) {
        if (trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_WORD) {
            format->triggers.push_back(trigger.value);
        } else if (trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN) {
            format->patterns.emplace_back(trigger.value);
        } else {
            return nullptr;
        }
    }
    if (format->patterns.empty() && !format->only_first) {
        format->opening = format->triggers.front();
    }
    rules.tighten(parallel);
    if (traits.tight_ends) {
        rules.tighten_ends();
    }
    bind_arguments(rules, tools);
    if (rules.text().find("-arg-") != std::string::npos) {
        auto listed        = sample_inputs(tools, parallel, true);
        listed.tool_choice = inputs.tool_choice;
        bind_listed(rules, lists_strings(tools) ? Rules(common_chat_templates_apply(templates, listed).grammar) : rules, tools);
    }
    if (!traits.prelude.empty() && rules.has("root")) {
        rules.rename_root("luup-calls");
        rules.set("root", json(traits.prelude).dump() + "? space luup-calls");
        format->triggers.insert(format->triggers.begin(), traits.prelude);
        format->opening = traits.prelude;
    }
    format->grammar = Grammar::parse(rules.text(), vocab);
    format->markers = params.preserved_tokens;
    for (const std::string & name : traits.controls) {
        const std::string quoted = json(name).dump();
        if (rules.text().find(quoted.substr(1, quoted.size() - 2)) != std::string::npos) {
            format->markers.push_back(name);
        }
    }
    auto parser = std::make_shared<common_chat_parser_params>(params);
    parser->parser.load(params.parser);
    parser->reasoning_format = COMMON_REASONING_FORMAT_AUTO;
    format->parser           = parser;
    add_tokens(*format, parallel, vocab);
    return format;
}

std::shared_ptr<const ToolFormat> own_format(const ToolSet & tools, bool parallel, const llama_vocab * vocab) {
    auto        format  = std::make_shared<ToolFormat>();
    std::string text    = parallel ? "root ::= call (\"\\n\" call)* \"\\n\"?\n" : "root ::= call \"\\n\"?\n";
    std::string choices = "tool ::= ";
    for (size_t i = 0; i < tools.tools().size(); i++) {
        const Tool &      tool = tools.tools()[i];
        const std::string name = "luup-" + std::to_string(i);
        choices += (i ? " | " : "") + std::string("\"") + tool.name + "\\\", \\\"arguments\\\": \" " + name;
        text += tool.parameters->grammar(name, Spacing::OneSpace);
        if (text.back() != '\n') {
            text += '\n';
        }
    }
    text += choices + "\n";
    text += std::string("call ::= \"") + call_begin + "\\n{\\\"name\\\": \\\"\" tool \"}\\n" + call_end + "\"\n";
    format->opening  = call_begin;
    format->triggers = { call_begin };
    format->grammar  = Grammar::parse(text, vocab);
    format->markers  = { call_begin, call_end };
    add_tokens(*format, parallel, vocab);
    return format;
}

std::vector<Message> tools_as_text(const std::vector<Message> & messages, const ToolSet & tools) {
    std::string prompt =
        "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function signatures within "
        "<tools></tools> XML tags:\n<tools>";
    for (const Tool & tool : tools.tools()) {
        prompt += "\n" + tool.definition;
    }
    prompt +=
        "\n</tools>\n\nFor each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:\n"
        "<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call>";
    std::vector<Message> out;
    if (!tools.empty()) {
        const bool system = !messages.empty() && messages.front().role == "system";
        out.push_back({ "system", (system ? messages.front().content + "\n\n" : "") + prompt, "", {}, "", "" });
    }
    for (const Message & m : messages) {
        if (m.role == "system" && !tools.empty()) {
            continue;
        }
        Message text = { m.role, m.content, m.reasoning, {}, "", "" };
        for (const ToolCall & call : m.tool_calls) {
            text.content += (text.content.empty() ? "" : "\n") + own_call(call);
        }
        if (m.role == "tool") {
            text.role    = "user";
            text.content = "<tool_response>\n" + m.content + "\n</tool_response>";
            if (!out.empty() && out.back().role == "user" && out.back().content.rfind("<tool_response>", 0) == 0) {
                out.back().content += "\n" + text.content;
                continue;
            }
        }
        out.push_back(std::move(text));
    }
    return out;
}

size_t find_call(const ToolFormat & format, const std::string & text) {
    size_t at = std::string::npos;
    for (const std::string & trigger : format.triggers) {
        at = std::min(at, text.find(trigger));
    }
    for (const std::regex & regex : format.patterns) {
        std::smatch match;
        for (size_t length = 1; length <= text.size(); length++) {  // as the text comes: patterns look at its end
            const std::string head = text.substr(0, length);
            if (std::regex_search(head, match, regex)) {
                at = std::min(at, static_cast<size_t>(match.position(match.size() > 1 && match[1].matched ? 1 : 0)));
                break;
            }
        }
    }
    return at;
}

bool reads_back(const ToolFormat & format, const std::string & text, const std::vector<ToolCall> & calls) {
    const size_t begin = find_call(format, text);
    if (begin == std::string::npos) {
        return false;
    }
    Matcher matcher(format.grammar, nullptr);
    size_t  end = 0;
    for (size_t at = begin; at < text.size() && matcher.accept_text(std::string_view(text).substr(at, 1)); at++) {
        end = matcher.can_end() ? at + 1 : end;
    }
    const auto same = [](const ToolCall & a, const ToolCall & b) {
        return a.name == b.name && nlohmann::json::parse(a.arguments, nullptr, false) == nlohmann::json::parse(b.arguments);
    };
    const auto read = end > 0 ? parse_calls(format, text.substr(0, end), begin) : std::vector<ToolCall>();
    return std::equal(read.begin(), read.end(), calls.begin(), calls.end(), same);
}

// What stands before the calls does not matter.
static common_chat_msg read_message(const ToolFormat & format, const std::string & raw, size_t calls_begin) {
    try {
        return common_chat_parse(raw, false, *format.parser);
    } catch (const std::exception &) {
        if (calls_begin == 0) {
            throw;
        }
    }
    return common_chat_parse(raw.substr(calls_begin), false, *format.parser);
}

std::vector<ToolCall> parse_calls(const ToolFormat & format, const std::string & raw, size_t calls_begin) {
    std::vector<ToolCall> calls;
    if (format.parser) {
        for (const auto & call : read_message(format, raw, calls_begin).tool_calls) {
            calls.push_back({ call.id, call.name, call.arguments.empty() ? "{}" : call.arguments });
        }
        return calls;
    }
    size_t at = raw.find(call_begin, calls_begin);
    while (at != std::string::npos) {
        const size_t begin = at + sizeof(call_begin) - 1;
        size_t       end   = begin;
        json         call;
        do {  // the text of the end tag may stand in a string too
            end = raw.find(call_end, end + 1);
            if (end == std::string::npos) {
                throw std::runtime_error("a call without an end");
            }
            call = json::parse(raw.substr(begin, end - begin), nullptr, false);
        } while (call.is_discarded());
        calls.push_back({ "", call.at("name").get<std::string>(), call.at("arguments").dump() });
        at = raw.find(call_begin, end);
    }
    return calls;
}

}  // namespace luup
