// A history as JSON. One that is accepted is written and read as the same.
#include "chat/message.h"

#include "target.h"

#include <nlohmann/json.hpp>

using namespace luup;

FUZZ_TARGET() {
    const auto        messages = parse_messages(std::string(input));
    const std::string text     = to_json(messages).dump();
    MUST(to_json(parse_messages(text)).dump() == text);
    unanswered_calls(messages);
}
