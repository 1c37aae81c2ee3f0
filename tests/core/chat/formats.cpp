// The formats of tools' calls: compiled once for equal tools, and for names and values of any length.
#include "chat/template.h"
#include "chat/tool_format.h"
#include "chat/tools.h"
#include "check.h"
#include "templates.h"
#include "vocabulary.h"

#include <nlohmann/json.hpp>

#include <memory>
#include <string>

using namespace luup;

using json = nlohmann::ordered_json;

namespace {

std::shared_ptr<const ToolSet> one_tool(const std::string & name, const json & properties) {
    const json parameters = { { "type", "object" }, { "properties", properties }, { "additionalProperties", false } };
    return std::make_shared<const ToolSet>(std::vector<Tool>{ make_tool(name, "Does it.", parameters.dump()) });
}

std::shared_ptr<const ToolSet> numbered_tool(int number) {
    return one_tool("tool_" + std::to_string(number), { { "text", { { "type", "string" } } } });
}

}  // namespace

CASE(equal_tools_share_a_format) {
    const ChatTemplate chat(vocabulary_model(), read_template("NousResearch-Hermes-3-Llama-3.1-8B-tool_use"));
    const auto         format = chat.tool_format(*numbered_tool(1), true);
    CHECK(chat.native_tools() && format->parser);
    CHECK(chat.tool_format(*numbered_tool(1), true) == format);
    CHECK(chat.tool_format(*numbered_tool(2), true) != format);
    CHECK(chat.tool_format(*numbered_tool(1), false) != format);
}

CASE(a_format_stays_while_its_tools_are_alive) {
    const ChatTemplate              chat(vocabulary_model(), read_template("google-gemma-2-2b-it"));
    const auto                      alive = numbered_tool(1);
    std::weak_ptr<const ToolFormat> kept  = chat.tool_format(*alive, true);
    std::weak_ptr<const ToolFormat> idle  = chat.tool_format(*numbered_tool(2), true);
    for (int number = 10; number < 60; number++) {
        chat.tool_format(*numbered_tool(number), true);
    }
    CHECK(!kept.expired() && chat.tool_format(*alive, true) == kept.lock());
    CHECK(idle.expired());
}

// std::regex recurses with the length of what it matches, and ends the process.
CASE(long_names_and_values_compile) {
    constexpr size_t  length = 35000;
    const std::string letters(length, 'a'), underscores(length, '_');
    for (const char * name : { "NousResearch-Hermes-3-Llama-3.1-8B-tool_use", "Qwen3-Coder", "google-gemma-2-2b-it" }) {
        const ChatTemplate chat(vocabulary_model(), read_template(name));
        for (const json & properties :
             { json{ { "kind", { { "enum", { letters, underscores } } } } },
               json{ { letters, { { "type", "string" } } } }, json{ { underscores, { { "type", "string" } } } },
               json{ { letters, { { "type", "integer" } } } }, json{ { underscores, { { "type", "integer" } } } } }) {
            const auto tools  = one_tool("find", properties);
            const auto prompt = chat.render({ Message::user("Hello") }, tools.get(), true);
            CHECK(prompt.tokens.size() > length / 100);
            CHECK(chat.tool_format(*tools, true)->grammar);
        }
    }
}
