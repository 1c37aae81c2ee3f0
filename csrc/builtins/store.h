// Numbered items in memory or in a JSON file that several processes and threads share: what the built-in tools keep.
#pragma once

#include "schema.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

namespace luup {

// The file is written whole or not at all; one that is damaged is left as it is. All methods may be called from any thread and throw
// Error(LUUP_ERROR_IO) that names the file.
class Store {
  public:
    using json = nlohmann::ordered_json;

    // `kind`: what the items are, such as "todos"; `item`: the JSON schema of one; `path` empty: in memory. The file may not exist yet; one
    // that does has to be whole.
    Store(const std::string & kind, const std::string & item, const std::string & path);

    // All items, the oldest first.
    json items() const;

    // The item `id`. Throws Error(LUUP_ERROR_INVALID_PARAM) if there is none, as the next two do.
    json get(int64_t id) const;

    // Keeps an item and gives it with its "id", which is larger than any before it: the id of what was removed never comes back.
    json add(const json & item);
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
    mutable std::mutex                  mutex_;   // of memory_
    Content                             memory_;  // if there is no path
};

// The time as "2026-01-02T03:04:05.678Z".
std::string now_utc();

}  // namespace luup
