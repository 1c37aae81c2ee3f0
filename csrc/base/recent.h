// A cache of immutable values, by the text that they are made of.
#pragma once

#include "base/interrupt.h"

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace luup {

// Keeps every value that is in use and the `idle` others that were used last; drops the rest from time to time.
// Thread-safe.
template <typename T> class Recent {
  public:
    explicit Recent(size_t idle) : idle_(idle), sweep_at_(2 * idle) {}

    // Return the value of `key`. make() makes a missing one, while other threads that want it wait, unless they are
    // interrupted; if make() throws, the next caller tries again. A value is in use while a caller holds it, or while
    // `user` is alive.
    template <typename Make>
    std::shared_ptr<const T> get(const std::string & key, const Make & make,
                                 const std::weak_ptr<const void> & user = {}) {
        const std::shared_ptr<Entry>       entry = find(key, user);
        std::unique_lock<std::timed_mutex> lock(entry->mutex, std::try_to_lock);
        while (!lock && !lock.try_lock_for(std::chrono::milliseconds(10))) {
            check_interruption();
        }
        if (!entry->value) {
            entry->value = make();
        }
        return entry->value;
    }

    size_t size() const {
        std::lock_guard<std::mutex> lock(mutex_);
        return entries_.size();
    }

  private:
    struct Entry {
        explicit Entry(std::string key) : key(std::move(key)) {}

        const std::string         key;
        std::weak_ptr<const void> user;  // guarded by Recent::mutex_
        std::timed_mutex          mutex;
        std::shared_ptr<const T>  value;  // guarded by `mutex`
    };

    using Entries = std::list<std::shared_ptr<Entry>>;

    std::shared_ptr<Entry> find(const std::string & key, const std::weak_ptr<const void> & user) {
        std::lock_guard<std::mutex> lock(mutex_);
        const auto                  found = index_.find(key);
        if (found != index_.end()) {
            entries_.splice(entries_.begin(), entries_, found->second);
        } else {
            sweep();
            entries_.push_front(std::make_shared<Entry>(key));
            index_.emplace(entries_.front()->key, entries_.begin());
        }
        const std::shared_ptr<Entry> & entry = entries_.front();
        if (entry->user.expired()) {
            entry->user = user;
        }
        return entry;
    }

    // Drops idle entries. Looks at all entries only once in `idle_` new ones, so that many in use cost little.
    void sweep() {
        if (entries_.size() < sweep_at_) {
            return;
        }
        size_t idle = 0;
        for (auto it = entries_.begin(); it != entries_.end();) {
            if (in_use(**it, it->use_count()) || ++idle <= idle_) {
                ++it;
            } else {
                index_.erase((*it)->key);
                it = entries_.erase(it);
            }
        }
        sweep_at_ = entries_.size() + idle_;
    }

    static bool in_use(Entry & entry, long holders) {
        if (holders > 1 || !entry.user.expired()) {  // another thread is inside get()
            return true;
        }
        const std::unique_lock<std::timed_mutex> lock(entry.mutex, std::try_to_lock);
        return !lock || entry.value.use_count() > 1;
    }

    const size_t                                                     idle_;
    mutable std::mutex                                               mutex_;  // taken before an entry's, never after
    size_t                                                           sweep_at_;
    Entries                                                          entries_;  // the one used last first
    std::unordered_map<std::string_view, typename Entries::iterator> index_;    // by Entry::key
};

}  // namespace luup
