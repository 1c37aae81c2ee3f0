#include "chat/message_order.h"

#include <new>
#include <utility>

namespace luup {

namespace {

constexpr char no_question[] = "(The assistant begins.)";
constexpr char no_answer[]   = "(No answer.)";
constexpr char go_on[]       = "(Go on.)";

// A system message in the place of a user's.
std::string marked(const std::string & system) {
    return "[System message]\n" + system + "\n[End of the system message]";
}

bool is_answer(const Message & message) {
    return message.role == "assistant" && message.tool_calls.empty();
}

// Append `message` to the last message, which has the same role.
void join(Message & last, Message message) {
    const auto add = [](std::string & text, const std::string & more) {
        text += (text.empty() || more.empty() ? "" : "\n\n") + more;
    };
    add(last.content, message.content);
    add(last.reasoning, message.reasoning);
    last.tool_calls = std::move(message.tool_calls);
}

// The system messages behind the first message, as the user's. They go behind the results of calls, not between.
std::vector<Message> without_later_systems(std::vector<Message> messages) {
    std::vector<Message> out;
    std::string          waiting;  // for the next message of the user
    const auto           flush = [&] {
        if (!waiting.empty()) {
            out.push_back(Message::user(std::exchange(waiting, "")));
        }
    };
    for (size_t i = 0; i < messages.size(); i++) {
        Message & m = messages[i];
        if (m.role == "system" && i > 0) {
            waiting += (waiting.empty() ? "" : "\n\n") + marked(m.content);
        } else if (m.role == "user" && !waiting.empty()) {
            m.content = std::exchange(waiting, "") + "\n\n" + m.content;
            out.push_back(std::move(m));
        } else {
            if (m.role != "tool") {
                flush();
            }
            out.push_back(std::move(m));
        }
    }
    flush();
    return out;
}

// The texts of messages with calls in messages of their own, before the calls.
std::vector<Message> without_texts_of_calls(std::vector<Message> messages) {
    std::vector<Message> out;
    for (Message & m : messages) {
        if (!m.tool_calls.empty() && !m.content.empty()) {
            out.push_back(Message::assistant(std::exchange(m.content, "")));
        }
        out.push_back(std::move(m));
    }
    return out;
}

}  // namespace

bool is_unusual_order(const std::vector<Message> & messages) {
    const std::string * last = nullptr;
    for (size_t i = 0; i < messages.size(); i++) {
        const Message & m = messages[i];
        if (m.role == "system" && i == 0) {
            continue;
        }
        const bool first = last == nullptr;
        if (m.role == "system" || (first && m.role == "assistant") ||
            (!first && m.role == "user" && *last != "assistant") ||
            (!first && m.role == "assistant" && *last == "assistant") ||
            (!m.tool_calls.empty() && !m.content.empty())) {
            return true;
        }
        last = &m.role;
    }
    return false;
}

std::vector<Message> fold(std::vector<Message> messages, const MessageOrders & orders) {
    if (!orders.later_system) {
        messages = without_later_systems(std::move(messages));
    }
    if (!orders.text_with_calls) {
        messages = without_texts_of_calls(std::move(messages));
    }
    std::vector<Message> out;
    for (Message & m : messages) {
        const bool begins = out.empty() || (out.size() == 1 && out.front().role == "system");
        if (begins && m.role == "assistant" && !orders.answer_first) {
            out.push_back(Message::user(no_question));
        } else if (m.role == "user" && !begins && out.back().role == "tool" && !orders.user_after_tool) {
            out.push_back(Message::assistant(no_answer));
        }
        const bool after_answer = m.role == "assistant" && !out.empty() && is_answer(out.back());
        const bool refused      = m.tool_calls.empty() ? !orders.answers_in_a_row : !orders.calls_after_text;
        if (after_answer && refused && !m.tool_calls.empty() && !orders.text_with_calls) {
            out.push_back(Message::user(go_on));
            out.push_back(std::move(m));
            continue;
        }
        const bool users = m.role == "user" && !out.empty() && out.back().role == "user" && !orders.users_in_a_row;
        if (users || (after_answer && refused)) {
            join(out.back(), std::move(m));
        } else {
            out.push_back(std::move(m));
        }
    }
    return out;
}

namespace {

// Whether a template takes messages and keeps all of their texts, in their order.
bool keeps(const std::function<std::string(const std::vector<Message> &)> & render,
           const std::vector<std::vector<Message>> &                        conversations) {
    for (const std::vector<Message> & messages : conversations) {
        try {
            const std::string prompt = render(messages);
            size_t            at     = 0;
            for (const Message & m : messages) {
                if (m.content.empty()) {
                    continue;
                }
                const size_t found = prompt.find(m.content, at);
                if (found == std::string::npos || prompt.find(m.content, found + 1) != std::string::npos) {
                    return false;
                }
                at = found + m.content.size();
            }
        } catch (const std::bad_alloc &) {
            throw;
        } catch (const std::exception &) {
            return false;
        }
    }
    return true;
}

}  // namespace

MessageOrders probe_orders(const std::function<std::string(const std::vector<Message> &)> & render, bool tools) {
    const ToolCall call     = { "LuupIdC03", "luup_tool_a",
                                R"({"luup_parameter_a":"x","count":1,"inner":{"street":"y"}})" };
    const Message  question = Message::user("luup_question_1"), other = Message::user("luup_question_2");
    const Message  third  = Message::user("luup_question_3");
    const Message  answer = Message::assistant("luup_answer_1"), more = Message::assistant("luup_answer_2");
    const Message  system = Message::system("luup_system_1"), later = Message::system("luup_system_2");
    const Message  telling = Message::assistant("luup_answer_1", "", { call });
    const Message  calling = Message::assistant("", "", { call }), result = Message::tool_result(call, "luup_result_1");

    const auto with_tools = [&](std::vector<std::vector<Message>> plain, const std::vector<Message> & more_of) {
        if (tools) {
            plain.push_back(more_of);
        }
        return plain;
    };
    MessageOrders orders;
    orders.later_system     = keeps(render, with_tools({ { system, question, answer, later, other },
                                                         { system, question, later },
                                                         { question, later, answer, other } },
                                                       { system, question, calling, result, later, other }));
    orders.users_in_a_row   = keeps(render, { { question, other }, { system, question, answer, other, third } });
    orders.answers_in_a_row = keeps(render, { { system, question, answer, more, other } });
    orders.answer_first =
        keeps(render, with_tools({ { answer, question }, { system, answer, question } }, { system, calling, result }));
    orders.user_after_tool =
        !tools || keeps(render, { { question, calling, result, other },
                                  { question, calling, result, more, other, calling, result, third } });
    orders.text_with_calls  = !tools || keeps(render, { { question, telling, result, more, other },
                                                        { system, question, telling, result, other } });
    orders.calls_after_text = !tools || keeps(render, { { question, answer, calling, result, more, other } });
    return orders;
}

}  // namespace luup
