#include "chat/tool_format.h"

#include "base/json.h"
#include "schema/equality.h"
#include "grammar/matcher.h"

#include "common/chat.h"

#include <algorithm>
#include <new>
#include <regex>
#include <stdexcept>
#include <string_view>

namespace luup {

namespace {

using json = nlohmann::ordered_json;

constexpr char call_begin[] = "<tool_call>";
constexpr char call_end[]   = "</tool_call>";

// Return a call in our own format.
std::string own_call(const ToolCall & call) {
    const json arguments = try_read_json(call.arguments);
    return std::string(call_begin) + "\n{\"name\": " + json(call.name).dump() +
           ", \"arguments\": " + (arguments.is_object() ? compact_json(call.arguments) : "{}") + "}\n" + call_end;
}

}  // namespace

void find_tokens(ToolFormat & format, bool parallel, const llama_vocab * vocab) {
    format.opening_tokens = tokenize_text(vocab, format.opening, false, true);
    for (const std::string & marker : format.markers) {
        const auto tokens = tokenize_text(vocab, marker, false, true);
        if (tokens.size() == 1) {
            format.marker_tokens.push_back(tokens[0]);
        }
    }
    for (const char * between : { "\n", "", " " }) {
        if (parallel && !format.opening.empty()) {
            format.next_openings.push_back(
                { between + format.opening, tokenize_text(vocab, between + format.opening, false, true) });
        }
    }
}

std::shared_ptr<ToolFormat> own_format(const ToolSet & tools, bool parallel, const llama_vocab * vocab) {
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
    find_tokens(*format, parallel, vocab);
    return format;
}

std::vector<Message> tools_as_text(const std::vector<Message> & messages, const ToolSet & tools) {
    std::string prompt =
        "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
        "You are provided with function signatures within <tools></tools> XML tags:\n<tools>";
    for (const Tool & tool : tools.tools()) {
        prompt += "\n" + tool.prompt_definition;
    }
    prompt +=
        "\n</tools>\n\n"
        "For each function call, return a json object with function name and arguments within "
        "<tool_call></tool_call> XML tags:\n"
        "<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call>";
    std::vector<Message> out;
    if (!tools.empty()) {
        const bool system = !messages.empty() && messages.front().role == "system";
        out.push_back(Message::system((system ? messages.front().content + "\n\n" : "") + prompt));
    }
    for (const Message & m : messages) {
        if (&m == &messages.front() && m.role == "system" && !tools.empty()) {
            continue;  // it is above the tools
        }
        Message text = m;
        text.tool_calls.clear();
        for (const ToolCall & call : m.tool_calls) {
            text.content += (text.content.empty() ? "" : "\n") + own_call(call);
        }
        if (m.role == "tool") {
            text = Message::user("<tool_response>\n" + m.content + "\n</tool_response>");
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
        for (size_t length = 1; length <= text.size(); length++) {  // patterns may look at the end of a growing text
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
        return a.name == b.name && equal_json(try_read_json(a.arguments), try_read_json(b.arguments));
    };
    const auto read = end > 0 ? parse_calls(format, text.substr(0, end), begin) : std::vector<ToolCall>();
    return std::equal(read.begin(), read.end(), calls.begin(), calls.end(), same);
}

namespace {

// Text before the calls that the parser does not take is left out.
common_chat_msg read_message(const ToolFormat & format, const std::string & raw, size_t calls_begin) {
    try {
        return common_chat_parse(raw, false, *format.parser);
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception &) {
        if (calls_begin == 0) {
            throw;
        }
    }
    return common_chat_parse(raw.substr(calls_begin), false, *format.parser);
}

// Returns the arguments in the text of a call in our own format: with the digits that a parsed value would lose.
std::string own_arguments(const std::string & text, const json & name, const json & value) {
    constexpr char key[] = "\"arguments\":";
    const size_t   at    = text.find(key, text.find(name.dump()));
    if (at != std::string::npos) {
        const size_t      begin     = at + sizeof(key) - 1;
        const std::string arguments = text.substr(begin, text.rfind('}') - begin);
        if (equal_json(try_read_json(arguments), value)) {
            return compact_json(arguments);
        }
    }
    return value.dump();
}

}  // namespace

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
        do {  // a string may contain the end tag, too
            end = raw.find(call_end, end + 1);
            if (end == std::string::npos) {
                throw std::runtime_error("a call has no end");
            }
            call = try_read_json(raw.substr(begin, end - begin));
        } while (call.is_discarded());
        calls.push_back({ "", call.at("name").get<std::string>(),
                          own_arguments(raw.substr(begin, end - begin), call.at("name"), call.at("arguments")) });
        at = raw.find(call_begin, end);
    }
    return calls;
}

}  // namespace luup
