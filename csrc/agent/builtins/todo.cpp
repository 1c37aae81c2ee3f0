#include "agent/builtins/todo.h"

#include "agent/builtins/store.h"
#include "base/error.h"

namespace luup {

namespace {

using json = nlohmann::ordered_json;

constexpr size_t max_text = 4000;  // bytes

constexpr char task_schema[] = R"({"type": "object", "properties": {
    "id": {"type": "integer"}, "text": {"type": "string"}, "done": {"type": "boolean"},
    "created_at": {"type": "string", "format": "date-time"},
    "completed_at": {"type": ["string", "null"], "format": "date-time"}},
    "required": ["id", "text", "done", "created_at", "completed_at"]})";

constexpr char add_parameters[] = R"({"type": "object", "properties": {
    "text": {"type": "string", "minLength": 1, "description": "What is to be done."}}, "required": ["text"], "additionalProperties": false})";

constexpr char task_id_parameters[] = R"({"type": "object", "properties": {
    "id": {"type": "integer", "description": "The id of the task, as todo_list tells it."}}, "required": ["id"], "additionalProperties": false})";

json add(Store & store, const json & arguments) {
    const std::string text = arguments.at("text").get<std::string>();
    if (text.size() > max_text) {
        fail(LUUP_ERROR_INVALID_PARAM, "text has %zu bytes; at most %zu are allowed", text.size(), max_text);
    }
    return store.add({ { "text", text }, { "done", false }, { "created_at", now_utc() }, { "completed_at", nullptr } });
}

json complete(Store & store, const json & arguments) {
    return store.change(arguments.at("id").get<int64_t>(), [](json & item) {
        if (!item["done"].get<bool>()) {
            item["done"]         = true;
            item["completed_at"] = now_utc();
        }
    });
}

}  // namespace

std::vector<Tool> make_todo_tools(const std::string & path) {
    const auto store = std::make_shared<Store>("todos", task_schema, path);
    return {
        make_builtin_tool("todo_add", "Adds a task to the user's to-do list.", add_parameters,
                          [store](const json & a) { return add(*store, a); }),
        make_builtin_tool("todo_list", "Shows the user's to-do list: all tasks with their ids.", "",
                          [store](const json &) { return store->items(); }),
        make_builtin_tool("todo_complete", "Marks a task of the user's to-do list as done.", task_id_parameters,
                          [store](const json & a) { return complete(*store, a); }),
        make_builtin_tool("todo_delete", "Deletes a task from the user's to-do list.", task_id_parameters,
                          [store](const json & a) { return store->remove(a.at("id").get<int64_t>()); }),
    };
}

}  // namespace luup
