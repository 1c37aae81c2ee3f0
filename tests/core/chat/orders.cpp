// Orders of messages that templates refuse: the prompt has every text of the history, in an order that they take.
#include "template_cases.h"

namespace template_cases {

namespace {

// A history: "s" a system message, "u" the user's, "a" an answer, "c" a call and its result, "t" the same
// with a text before the call.
std::vector<Message> history_of(const std::string & order) {
    std::vector<Message> messages;
    for (size_t i = 0; i < order.size(); i++) {
        const std::string text = "Text_" + std::to_string(i) + "_of\n \"it\" {\"n\": " + std::to_string(i) + "}";
        switch (order[i]) {
            case 's': messages.push_back(Message::system(text)); break;
            case 'u': messages.push_back(user(text)); break;
            case 'a': messages.push_back(Message::assistant(text)); break;
            default:
                const std::string before = order[i] == 't' ? "Before_" + std::to_string(i) : "";
                messages.push_back(Message::assistant(before, "", { plain }));
                messages.push_back(result(plain, text));
        }
    }
    return messages;
}

}  // namespace

void every_order_is_kept(const ChatTemplate & chat, const ToolSet & tools) {
    const std::string orders[] = { "u",      "su",    "usu",   "suasu", "suas",  "uas",     "susau",    "ssu",
                                   "suu",    "uuu",   "suauu", "uuau",  "au",    "sau",     "aau",      "uaau",
                                   "suaaau", "uaua",  "uc",    "ucau",  "ucu",   "suasucu", "ucsu",     "ucus",
                                   "uucau",  "acau",  "uaca",  "sucuu", "saucu", "uccsu",   "usausasu", "ut",
                                   "suatu",  "uatau", "utctu", "at",    "uttsu" };
    for (const std::string & order : orders) {
        for (const bool with_tools : { true, false }) {
            if (!with_tools && order.find_first_of("ct") != std::string::npos) {
                continue;
            }
            const std::vector<Message> messages = history_of(order);
            const std::string          where    = "the order " + order + (with_tools ? " with tools" : "");
            std::string                prompt;
            try {
                prompt = text_of(chat.render(messages, with_tools ? &tools : nullptr, true).tokens);
            } catch (const std::exception & e) {
                throw Problem(where + " is refused: " + e.what());
            }
            // A result may be written as a JSON value of its own.
            for (const Message & m : messages) {
                const std::string escaped = json(m.content).dump();
                if (!has(prompt, m.content) &&
                    !(m.role == "tool" && has(prompt, escaped.substr(1, escaped.size() - 2)))) {
                    throw Problem(where + " loses " + template_cases::quoted(m.content) + " of " + m.role + " in " +
                                  template_cases::quoted(prompt));
                }
            }
        }
    }
}

}  // namespace template_cases
