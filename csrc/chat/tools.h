// Tools: their definitions, and the immutable lists of them that runs may call.
#pragma once

#include "luup_agent.h"
#include "base/recent.h"
#include "schema/schema.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace luup {

// Compiled schemas by their JSON text.
using SchemaCache = Recent<Schema>;

struct Tool {
    std::string                   name;
    std::string                   description;
    std::shared_ptr<const Schema> parameters;  // the schema of an object
    std::string                   definition;         // compact JSON, as in OpenAI's chat API
    std::string                   prompt_definition;  // the same as prompts show it
    luup_tool_callback            callback  = nullptr;
    void *                        user_data = nullptr;

    // Computes the result of a built-in tool; empty for tools of the host. Called from any thread; throws Error.
    std::function<nlohmann::ordered_json(const nlohmann::ordered_json & arguments)> builtin = nullptr;
};

// Make a tool; an empty `parameters` means that it takes none. The schema is looked up in `schemas` before it is
// compiled; null compiles it. Throws Error(LUUP_ERROR_INVALID_PARAM) or (LUUP_ERROR_INVALID_SCHEMA) that names the
// tool.
Tool make_tool(const std::string & name, const std::string & description, const std::string & parameters,
               SchemaCache * schemas = nullptr);
Tool make_builtin_tool(const std::string & name, const std::string & description, const std::string & parameters,
                       decltype(Tool::builtin) function);

// Run a built-in tool. Throws Error; LUUP_ERROR_INVALID_PARAM if the arguments do not match the tool's schema.
nlohmann::ordered_json call_builtin(const Tool & tool, const std::string & arguments);

// Return a built-in tool's result as bounded text for a model: of a long list only the newest entries, and a note that
// says how many were left out.
std::string text_for_model(const nlohmann::ordered_json & result);

// Return the JSON text of an object with whole numbers written as decimals where the tool's schema says "number". All
// other numbers keep their digits, however many they have; a text that is not JSON stays as it is.
std::string typed_arguments(const Tool & tool, const std::string & arguments);

// Return a JSON text without white space, with the digits of its numbers; a text that is not JSON stays as it is.
std::string compact_json(const std::string & text);

// An immutable list of tools with different names.
class ToolSet : public std::enable_shared_from_this<ToolSet> {
  public:
    // Throws Error(LUUP_ERROR_INVALID_PARAM) if two names differ only in "_" and "-", or if there are too many tools.
    explicit ToolSet(std::vector<Tool> tools);

    // Parse a JSON array of OpenAI tool definitions; an entry {"type": "builtin"} stands for all of `builtins`.
    // `schemas` as in make_tool(). Throws Error.
    static std::shared_ptr<const ToolSet> parse(const std::string & text, const std::vector<Tool> & builtins = {},
                                                SchemaCache * schemas = nullptr);

    const std::vector<Tool> & tools() const { return tools_; }
    bool                      empty() const { return tools_.empty(); }
    const Tool *              find(const std::string & name) const;  // null if there is none

    // Return a set with only the tool `name`. Throws Error(LUUP_ERROR_TOOL_NOT_FOUND).
    std::shared_ptr<const ToolSet> only(const std::string & name) const;

    // The definitions of all tools, one a line: sets with equal definitions look the same to a model.
    std::string definitions() const;

  private:
    const std::vector<Tool> tools_;
};

}  // namespace luup
