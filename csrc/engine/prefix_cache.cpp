#include "engine/prefix_cache.h"

#include "base/error.h"
#include "base/fingerprint.h"
#include "base/folder.h"
#include "base/log.h"
#include "engine/state_file.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

namespace luup {

namespace {

namespace fs = std::filesystem;

constexpr FileMagic magic     = { 'l', 'u', 'u', 'p', 'p', 'r', 'e', '\2' };
constexpr auto      suffix    = ".prefix";
constexpr uint64_t  max_bytes = 4ull << 30;  // of all files

}  // namespace

PrefixCache::PrefixCache(std::string folder, std::string key) : folder_(std::move(folder)), key_(std::move(key)) {
    std::error_code ec;
    const fs::path  path = fs::u8path(folder_);
    fs::create_directories(path, ec);
    if (!fs::is_directory(path)) {
        fail(LUUP_ERROR_IO, "prefix_cache: the folder %s can't be created: %s", folder_.c_str(),
             ec ? ec.message().c_str() : "it is a file");
    }
}

PrefixCache::~PrefixCache() {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        closing_ = true;
    }
    wakeup_.notify_one();
    if (writer_.joinable()) {
        writer_.join();
    }
}

std::string PrefixCache::path_of(const std::vector<llama_token> & tokens, const std::string & key) const {
    Fingerprint f;
    f.add(key.data(), key.size());
    f.add(tokens.data(), tokens.size() * sizeof(llama_token));
    char name[17];
    std::snprintf(name, sizeof(name), "%016llx", static_cast<unsigned long long>(f.value()));
    return folder_ + "/" + name + suffix;
}

std::optional<StoredSequence> PrefixCache::find(const std::vector<llama_token> & tokens,
                                                const std::string &              adapters) const {
    const std::string key  = key_ + adapters;
    const std::string path = path_of(tokens, key);
    std::error_code   ec;
    if (!fs::exists(fs::u8path(path), ec)) {
        return std::nullopt;
    }
    try {
        StateFile file = read_state_file(path, magic, "saved prefix");
        if (!file.damage.empty()) {
            log_write(LUUP_LOG_WARN, path + ": the prefix will be computed again: " + file.damage);
        } else if (file.header == key && file.sequence && file.sequence->tokens == tokens) {
            fs::last_write_time(fs::u8path(path), fs::file_time_type::clock::now(), ec);
            return std::move(file.sequence);
        }
    } catch (const Error & error) {
        log_write(LUUP_LOG_WARN, std::string(error.what()) + "; the prefix will be computed again");
    }
    return std::nullopt;
}

void PrefixCache::put(StoredSequence sequence, const std::string & adapters) {
    std::lock_guard<std::mutex> lock(mutex_);
    waiting_.push_back({ std::move(sequence), key_ + adapters });
    if (!writer_.joinable()) {
        writer_ = std::thread(&PrefixCache::write_all, this);
    }
    wakeup_.notify_one();
}

void PrefixCache::write_all() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
        wakeup_.wait(lock, [&] { return closing_ || !waiting_.empty(); });
        if (waiting_.empty()) {
            return;
        }
        const Written written = std::move(waiting_.front());
        waiting_.pop_front();
        lock.unlock();
        try {
            const std::string path = path_of(written.sequence.tokens, written.key);
            write_state_file(path, magic, written.key, &written.sequence);
            trim(path);
        } catch (const std::exception & error) {
            log_write(LUUP_LOG_WARN, std::string("prefix_cache: ") + error.what());
        }
        lock.lock();
    }
}

// Deletes the least recently used files until the rest take no more than max_bytes. Other processes may do the same, so
// a file that is gone already is not an error.
void PrefixCache::trim(const std::string & keep) const {
    struct Entry {
        fs::path           path;
        uint64_t           bytes;
        fs::file_time_type used;
    };
    std::vector<Entry> entries;
    uint64_t           total = 0;
    std::error_code    ec;
    for (const std::string & name : names_in(folder_)) {
        const fs::path  path = fs::u8path(folder_) / fs::u8path(name);
        std::error_code gone;
        const Entry     entry = { path, fs::file_size(path, gone), fs::last_write_time(path, gone) };
        if (!gone && entry.path.extension() == suffix) {
            total += entry.bytes;
            entries.push_back(entry);
        }
    }
    std::sort(entries.begin(), entries.end(), [](const Entry & a, const Entry & b) { return a.used < b.used; });
    for (const Entry & entry : entries) {
        if (total <= max_bytes) {
            break;
        }
        if (entry.path != fs::u8path(keep)) {
            fs::remove(entry.path, ec);
            total -= entry.bytes;
        }
    }
}

}  // namespace luup
