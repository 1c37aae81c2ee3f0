// Calls in our own format, for templates that have none.
#include "chat/tool_format.h"
#include "check.h"

#include <string>

using namespace luup;

namespace {

std::string call_text(const std::string & arguments) {
    return "<tool_call>\n{\"name\": \"pay\", \"arguments\": " + arguments + "}\n</tool_call>";
}

}  // namespace

CASE(numbers_keep_their_digits) {
    const std::string digits =
        R"({"id":123456789012345678901234567890,"amount":0.12345678901234567890123,"note":"}, \"arguments\": {"})";
    const auto calls = parse_calls(ToolFormat(), call_text(digits) + "\n" + call_text(R"({ "id": 1e3 })"), 0);
    CHECK(calls.size() == 2);
    CHECK(calls[0].name == "pay" && calls[0].arguments == digits);
    CHECK(calls[1].arguments == R"({"id":1e3})");

    Message turn;
    turn.role       = "assistant";
    turn.tool_calls = calls;
    CHECK(tools_as_text({ turn }, ToolSet({})).at(0).content == call_text(digits) + "\n" + call_text(R"({"id":1e3})"));
}
