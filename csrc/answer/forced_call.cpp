#include "answer/forced_call.h"

#include "base/json.h"

namespace luup {

namespace {

using json = nlohmann::ordered_json;

std::string line_about(const Tool & tool) {
    return tool.description.empty() ? tool.name : tool.name + ": " + tool.description;
}

}  // namespace

ForcedCall::ForcedCall(std::shared_ptr<const ToolSet> tools, const std::string & choice) : tools_(std::move(tools)) {
    if (choice != "required") {
        tool_ = tools_->find(choice);
    } else if (tools_->tools().size() == 1) {
        tool_ = &tools_->tools().front();
    }
}

std::shared_ptr<const OutputFormat> ForcedCall::ask(std::vector<Message> & messages) const {
    std::string text, schema;
    if (tool_) {
        text   = "Call the tool " + line_about(*tool_) + "\nAnswer with its arguments.";
        schema = tool_->parameters->text();
    } else {
        text       = "Which of these tools is to be called first?";
        json names = json::array();
        for (const Tool & tool : tools_->tools()) {
            text += "\n- " + line_about(tool);
            names.push_back(tool.name);
        }
        schema = json{
            { "type", "object" },
            { "properties", { { "tool", { { "enum", names } } } } },
            { "required", { "tool" } },
            { "additionalProperties", false }
        }.dump();
    }
    auto format = make_output_format({ OutputSource::Kind::Schema, schema }, nullptr);
    if (messages.empty() || messages.back().role != "user") {
        messages.push_back(Message::user(text));
    } else {
        messages.back().content += "\n\n" + text;
    }
    describe_output(messages, *format);
    return format;
}

bool ForcedCall::take(AnswerResult & answer) {
    const json value = try_read_json(answer.output);
    const bool named = !tool_ && value.is_object() && value.contains("tool") && value["tool"].is_string();
    if (named) {
        tool_ = tools_->find(value["tool"].get<std::string>());
        if (tool_) {
            return false;
        }
    }
    answer.has_calls = true;
    answer.raw       = answer.output;
    answer.content   = "";
    if (!tool_) {
        answer.problem = "it names no tool";
    } else if (!value.is_object()) {
        answer.problem = "the arguments of " + tool_->name + " are not a JSON object";
    } else {
        answer.calls = { { "", tool_->name, answer.output } };
    }
    return true;
}

}  // namespace luup
