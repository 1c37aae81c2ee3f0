// A chat template, and a message for it.
#include "chat/template.h"

#include "base/text.h"
#include "target.h"
#include "vocabulary.h"

using namespace luup;

// template, message
FUZZ_TARGET() {
    const auto parts = split(input, 2);
    if (utf8_find_invalid(input) != std::string_view::npos) {
        return;
    }
    const ChatTemplate         chat(vocabulary_model(), std::string(parts[0]));
    const std::vector<Message> messages = { Message::system("Be brief."), Message::user(std::string(parts[1])),
                                            Message::assistant("Yes?"), Message::user("Go on.") };
    chat.render(messages, nullptr, true);
}
