// A file of the built-in to-do list and notes. A damaged one is refused, a valid one is kept and can be changed.
#include "agent/builtins/store.h"

#include "target.h"

#include <nlohmann/json.hpp>

using namespace luup;

FUZZ_TARGET() {
    const std::string & path = write_file(input);
    Store               store(
        "todos",
        R"({"type":"object","properties":{"id":{"type":"integer"},"title":{"type":"string"}},"required":["id"]})",
        path);
    const auto before = store.items();
    const auto added  = store.add({ { "title", "milk" } });
    const auto after  = store.items();
    MUST(after.size() == before.size() + 1);
    store.remove(added["id"].get<int64_t>());
    MUST(store.items() == before);
}
