#include "model/weights_cache.h"

#include "base/log.h"
#include "model/gguf_file.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

namespace luup {

namespace {

constexpr char weights_end[] = ".weights";
constexpr char checked_end[] = ".checked";
constexpr char lock_end[]    = ".lock";

constexpr std::chrono::milliseconds moment{ 5 };
constexpr int                       longest_wait = 120 * 200;  // moments: two minutes

// The bytes that stay free on the disk.
constexpr uint64_t least_free = uint64_t(1) << 30;

// The text of the file that says that the weights were checked.
std::string checked_text(const WeightsFile & file) {
    const std::string boot = boot_id();
    return boot.empty() ? "" : boot + " " + file.file.identity().text() + "\n";
}

}  // namespace

WeightsCache::WeightsCache(const char * folder, int64_t limit) : limit_(static_cast<uint64_t>(limit)) {
    if (folder && *folder) {
        OwnFolder own(folder);
        if (own) {
            folder_ = own;
        }
    }
}

std::string WeightsCache::name_of(const std::string & model, const std::string & layout) {
    return text_key(model) + "-" + text_key(layout);
}

bool WeightsCache::may_have(const std::string & model) const {
    const std::string begin = text_key(model) + "-";
    const auto        files = folder_ ? folder_->list(weights_end) : std::vector<OwnFolder::Entry>();
    return std::any_of(files.begin(), files.end(), [&](const auto & file) { return file.name.rfind(begin, 0) == 0; });
}

bool WeightsCache::open(WeightsFile & file, const std::string & name, const std::string & key, uint64_t size) const {
    return folder_ && file.open(*folder_, name + weights_end, key, size);
}

bool WeightsCache::is_checked(const std::string & name, const WeightsFile & file) const {
    const std::string text = checked_text(file);
    return !text.empty() && folder_->read(name + checked_end, 1024) == text;
}

void WeightsCache::set_checked(const std::string & name, const WeightsFile & file) const {
    const std::string text = checked_text(file);
    if (!text.empty()) {
        folder_->write(name + checked_end, text);
    }
}

void WeightsCache::set_used(const std::string & name) const {
    folder_->touch(name + checked_end);
}

void WeightsCache::remove(const std::string & name) const {
    for (const char * end : { weights_end, checked_end, lock_end }) {
        folder_->remove(name + end);
    }
}

void WeightsCache::write(const std::string & name, const std::string & key, const void * data, uint64_t size,
                         const std::string & table) const {
    write_weights_file(*folder_, name + weights_end, key, data, size, table);
}

std::string WeightsCache::path(const std::string & name) const {
    return folder_->path(name + weights_end);
}

OwnLock::Result WeightsCache::try_lock(OwnLock & lock, const std::string & name) const {
    return folder_ ? lock.try_take(*folder_, name + lock_end) : OwnLock::Result::Impossible;
}

void WeightsCache::unlock(OwnLock & lock, const std::string & name) const {
    folder_->remove(name + lock_end);
    lock.release();
}

bool WeightsCache::wait_a_moment(int & moments) {
    std::this_thread::sleep_for(moment);
    return ++moments < longest_wait;
}

std::string WeightsCache::make_room(uint64_t size) const {
    if (size > limit_) {
        return "the cache of weights has a limit of " + std::to_string(limit_ >> 20) + " MB";
    }
    auto files = folder_->list(weights_end);
    for (OwnFolder::Entry & file : files) {
        const std::string name = file.name.substr(0, file.name.size() - (sizeof(weights_end) - 1));
        for (const OwnFolder::Entry & mark : folder_->list(name + checked_end)) {
            file.used = std::max(file.used, mark.used);
        }
        file.name = name;
    }
    std::sort(files.begin(), files.end(), [](const auto & a, const auto & b) { return a.used < b.used; });
    uint64_t sum = size;
    for (const OwnFolder::Entry & file : files) {
        sum += file.size;
    }
    for (const OwnFolder::Entry & file : files) {
        if (sum <= limit_) {
            break;
        }
        log_write(LUUP_LOG_INFO, "the cache of weights is full: the least recently used file is deleted");
        remove(file.name);
        sum -= file.size;
    }
    const uint64_t reserve = std::max(least_free, folder_->disk_bytes() / 20);
    const uint64_t free    = folder_->free_bytes();
    if (free < size + reserve) {
        return "the disk has " + std::to_string(free >> 20) + " MB left, of which " + std::to_string(reserve >> 20) +
               " MB stay free";
    }
    return "";
}

}  // namespace luup
