// Orders of messages that a chat template refuses, and the same messages in one that it takes.
#pragma once

#include "chat/message.h"

#include <functional>
#include <string>
#include <vector>

namespace luup {

// The orders that a template takes without losing a text.
struct MessageOrders {
    bool later_system     = true;  // a system message behind others
    bool users_in_a_row   = true;
    bool answers_in_a_row = true;  // two messages of the assistant without calls
    bool answer_first     = true;  // a message of the assistant before the first of the user
    bool user_after_tool  = true;  // a message of the user behind the results of tools
    bool text_with_calls  = true;  // a message of the assistant with a text and calls
    bool calls_after_text = true;  // a message of the assistant with calls behind one with a text
};

// Find the orders that a template takes. `render` returns its prompt of messages, or throws std::exception; `tools`:
// the messages may have calls and their results.
MessageOrders probe_orders(const std::function<std::string(const std::vector<Message> &)> & render, bool tools);

// Return whether `messages` have one of these orders.
bool is_unusual_order(const std::vector<Message> & messages);

// Return `messages` in an order that a template with `orders` takes. No text is lost: messages in a row become one,
// a later system message goes to the user's, and where a message is missing, a short one says so.
std::vector<Message> fold(std::vector<Message> messages, const MessageOrders & orders);

}  // namespace luup
