#include "agent/builtins/store.h"

#include "base/json.h"
#include "base/error.h"
#include "base/atomic_file.h"
#include "base/file_lock.h"
#include "base/read_file.h"

#include <chrono>
#include <cstdio>
#include <ctime>
#include <optional>
#include <set>

namespace luup {

namespace {

constexpr int      version      = 1;
constexpr uint64_t max_bytes    = 64u << 20;
constexpr double   lock_seconds = 20;

// Replaces invalid UTF-8: the C API refuses it, but a file may hold anything.
std::string dump(const Store::json & j, int indent) {
    return j.dump(indent, ' ', false, Store::json::error_handler_t::replace);
}

}  // namespace

Store::Store(const std::string & kind, const std::string & item, const std::string & path)
    : kind_(kind), path_(path.empty() ? "" : absolute_path(path)), item_(Schema::compile(item)) {
    if (!path_.empty()) {
        read();
        FileLock lock(path_ + ".lock", lock_seconds);  // fails now if the folder can't be written to
    }
}

Store::json Store::items() const {
    return read().items;
}

Store::json Store::get(int64_t id) const {
    const Content content = read();
    return content.items[find(content, id)];
}

Store::json Store::add(const json & item) {
    return update([&](Content & content) {
        json added = { { "id", content.next_id++ } };
        added.update(item);
        content.items.push_back(added);
        return added;
    });
}

Store::json Store::change(int64_t id, const std::function<void(json & item)> & edit) {
    return update([&](Content & content) {
        json & item = content.items[find(content, id)];
        edit(item);
        return item;
    });
}

Store::json Store::remove(int64_t id) {
    return update([&](Content & content) {
        const size_t index   = find(content, id);
        const json   removed = content.items[index];
        content.items.erase(index);
        return removed;
    });
}

size_t Store::find(const Content & content, int64_t id) const {
    for (size_t i = 0; i < content.items.size(); i++) {
        if (content.items[i]["id"] == id) {
            return i;
        }
    }
    fail(LUUP_ERROR_INVALID_PARAM, "there is no item with the id %lld in the %s", static_cast<long long>(id),
         kind_.c_str());
}

// The lock is a separate file, because each write replaces the file that it protects.
Store::json Store::update(const std::function<json(Content & content)> & edit) {
    std::optional<FileLock>      file_lock;
    std::unique_lock<std::mutex> lock(mutex_, std::defer_lock);
    if (path_.empty()) {
        lock.lock();
        Content    content = memory_;
        const json result  = edit(content);
        memory_            = std::move(content);
        return result;
    }
    file_lock.emplace(path_ + ".lock", lock_seconds);
    Content    content = read();
    const json result  = edit(content);
    write(content);
    return result;
}

Store::Content Store::read() const {
    if (path_.empty()) {
        std::lock_guard<std::mutex> lock(mutex_);
        return memory_;
    }
    const auto text = read_whole_file(path_, max_bytes);
    return text ? parse(*text) : Content();
}

Store::Content Store::parse(const std::string & text) const {
    const auto damaged = [&](const std::string & why) {
        fail(LUUP_ERROR_IO, "%s is damaged, and was not changed: %s", path_.c_str(), why.c_str());
    };
    std::string why;
    const json  all = try_read_json(text, &why);
    if (all.is_discarded() && !text.empty()) {
        damaged("it " + why);
    }
    if (!all.is_object() || !all.contains(kind_) || !all[kind_].is_array() || !all.contains("next_id") ||
        !all["next_id"].is_number_integer()) {
        damaged(text.empty() ? "it is empty" : all.is_object() ? "it holds no " + kind_ : "it is not a JSON object");
    }
    if (!all.contains("version") || all["version"] != version) {
        damaged("its version is not " + std::to_string(version));
    }
    Content           content = { all["next_id"].get<int64_t>(), all[kind_] };
    std::set<int64_t> ids;
    for (const json & item : content.items) {
        const std::string problem = item_->validate(item);
        if (!problem.empty()) {
            damaged("an entry of its " + kind_ + " is wrong: " + problem);
        }
        const int64_t id = item["id"].get<int64_t>();
        if (id < 1 || id >= content.next_id || !ids.insert(id).second) {
            damaged("the id " + std::to_string(id) + " is used twice, or not between 1 and next_id");
        }
    }
    return content;
}

void Store::write(const Content & content) const {
    const std::string text =
        dump({ { "version", version }, { "next_id", content.next_id }, { kind_, content.items } }, 1) + "\n";
    if (text.size() > max_bytes) {
        fail(LUUP_ERROR_IO, "%s can't be written: it would be larger than %llu bytes", path_.c_str(),
             static_cast<unsigned long long>(max_bytes));
    }
    AtomicFile file(path_);
    file.write(text.data(), text.size());
    file.commit();
}

std::string now_utc() {
    const auto        now          = std::chrono::system_clock::now().time_since_epoch();
    const auto        milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
    const std::time_t seconds      = static_cast<std::time_t>(milliseconds / 1000);
    std::tm           parts        = {};
#if defined(_WIN32)
    gmtime_s(&parts, &seconds);
#else
    gmtime_r(&seconds, &parts);
#endif
    char         text[32] = {};
    const size_t n        = std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
    std::snprintf(text + n, sizeof(text) - n, ".%03dZ", static_cast<int>(milliseconds % 1000));
    return text;
}

}  // namespace luup
