// Numbered items, in memory or in a JSON file that several processes and threads share: the data of the built-in tools.
#pragma once

#include "schema/schema.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

namespace luup {

// The file is written whole or not at all, and a damaged one is never overwritten. All methods may be called from any
// thread; they throw Error(LUUP_ERROR_IO) that names the file.
class Store {
  public:
    using json = nlohmann::ordered_json;

    // `kind` names the items in the file and in errors, such as "todos"; `item` is the JSON Schema of one; an empty
    // `path` keeps them in memory. The file is created by the first change; one that exists must be valid.
    Store(const std::string & kind, const std::string & item, const std::string & path);

    // All items, the oldest first.
    json items() const;

    // Adds an item and returns it with its new "id". Ids rise, and the id of a removed item is never used again.
    json add(const json & item);

    // Return the item `id`, after the change or before the removal. Throw Error(LUUP_ERROR_INVALID_PARAM) if there is
    // no such item.
    json get(int64_t id) const;
    json change(int64_t id, const std::function<void(json & item)> & edit);
    json remove(int64_t id);

  private:
    struct Content {
        int64_t next_id = 1;
        json    items   = json::array();
    };

    Content read() const;
    void    write(const Content & content) const;
    Content parse(const std::string & text) const;
    size_t  find(const Content & content, int64_t id) const;
    json    update(const std::function<json(Content & content)> & edit);

    const std::string                   kind_, path_;
    const std::shared_ptr<const Schema> item_;
    mutable std::mutex                  mutex_;  // guards memory_
    Content                             memory_;  // used without a path
};

// The current time, such as "2026-01-02T03:04:05.678Z".
std::string now_utc();

}  // namespace luup
