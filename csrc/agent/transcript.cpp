#include "agent/transcript.h"

namespace luup {

std::vector<Message> Transcript::prompt() const {
    std::vector<Message> messages = base;
    messages.insert(messages.end(), added.begin(), added.end());
    messages.insert(messages.end(), rejected.begin(), rejected.end());
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
