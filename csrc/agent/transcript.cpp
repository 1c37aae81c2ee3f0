#include "agent/transcript.h"

#include <algorithm>

namespace luup {

std::vector<Message> Transcript::prompt() const {
    std::vector<Message> messages = base;
    messages.insert(messages.end(), added.begin(), added.end());
    return messages;
}

std::vector<Message> Transcript::all_added() const {
    std::vector<Message> messages = added;
    messages.insert(messages.end(), last.begin(), last.end());
    return messages;
}

std::vector<Message> Transcript::history() const {
    return { base.begin() + static_cast<std::ptrdiff_t>(history_begin()), base.end() };
}

std::vector<ToolCall> Transcript::calls_since_question() const {
    const auto            is_question = [](const Message & m) { return m.role == "user"; };
    std::vector<ToolCall> found;
    if (std::none_of(added.begin(), added.end(), is_question)) {
        for (auto m = std::find_if(base.rbegin(), base.rend(), is_question).base(); m != base.end(); ++m) {
            found.insert(found.end(), m->tool_calls.begin(), m->tool_calls.end());
        }
    }
    found.insert(found.end(), calls.begin(), calls.end());
    return found;
}

std::string Transcript::said() const {
    std::string text;
    for (const auto * messages : { &base, &added }) {
        for (const Message & m : *messages) {
            if (m.role == "user" || m.role == "tool") {
                text += m.content + "\n";
            }
        }
    }
    return text;
}

}  // namespace luup
