// The tools that a run may call.
#pragma once

#include "luup_agent.h"
#include "schema.h"

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace luup {

struct ToolFormat;

struct Tool {
    std::string                   name;
    std::string                   description;
    std::shared_ptr<const Schema> parameters;  // of an object
    std::string                   definition;  // as OpenAI's chat API describes it: compact JSON
    luup_tool_callback            callback  = nullptr;
    void *                        user_data = nullptr;

    // Of a tool that runs in here: from the arguments to the result. Any thread may call it; it throws Error.
    std::function<nlohmann::ordered_json(const nlohmann::ordered_json & arguments)> builtin = nullptr;
};

// Throws Error(LUUP_ERROR_INVALID_PARAM) or (LUUP_ERROR_INVALID_SCHEMA) that names the tool. `parameters` empty: none.
Tool make_tool(const std::string & name, const std::string & description, const std::string & parameters);
Tool make_builtin_tool(const std::string & name, const std::string & description, const std::string & parameters, decltype(Tool::builtin) function);

// Runs a built-in tool. Throws Error, LUUP_ERROR_INVALID_PARAM if the arguments are not what its schema says.
nlohmann::ordered_json call_builtin(const Tool & tool, const std::string & arguments);

// A built-in tool's result as bounded text for a model: of a long list the newest entries, and how many were left out.
std::string text_for_model(const nlohmann::ordered_json & result);

// `arguments` as JSON text, with whole numbers written as decimals where the tool's schema says "number".
std::string typed_arguments(const Tool & tool, nlohmann::ordered_json arguments);

// A list of tools with different names. Immutable; what the chat template makes of it is kept with it.
class ToolSet {
  public:
    // Throws Error(LUUP_ERROR_INVALID_PARAM) if two names can't be told apart.
    explicit ToolSet(std::vector<Tool> tools);

    // From a JSON array of OpenAI tool definitions; {"type": "builtin"} in it stands for all of `builtins`. Throws Error.
    static std::shared_ptr<const ToolSet> parse(const std::string & text, const std::vector<Tool> & builtins = {});

    const std::vector<Tool> & tools() const { return tools_; }
    bool                      empty() const { return tools_.empty(); }
    const Tool *              find(const std::string & name) const;  // NULL if there is none

    // The set with only the tool `name`, made once. Throws Error(LUUP_ERROR_TOOL_NOT_FOUND).
    std::shared_ptr<const ToolSet> only(const std::string & name) const;

    // What `make` gave for one call or several; kept, for one template.
    template <typename Make>
    std::shared_ptr<const ToolFormat> format(bool parallel, Make make) const {
        std::lock_guard<std::mutex> lock(mutex_);
        auto &                      slot = formats_[parallel];
        if (!slot) {
            slot = make();
        }
        return slot;
    }

    // What `find` said: whether the template takes these tools. Kept likewise.
    template <typename Find>
    bool native(Find find) const {
        std::lock_guard<std::mutex> lock(mutex_);
        if (!native_) {
            native_ = find();
        }
        return *native_;
    }

  private:
    std::vector<Tool>                                   tools_;
    mutable std::mutex                                  mutex_;
    mutable std::shared_ptr<const ToolFormat>           formats_[2];
    mutable std::optional<bool>                         native_;
    mutable std::vector<std::shared_ptr<const ToolSet>> single_;  // as tools_; made by only()
};

}  // namespace luup
