// A cache of values by name that is bounded by their bytes: the ones used longest ago leave first.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

namespace luup {

// Not locked. A value that is in use lives on after it has left.
template <typename T> class SizedCache {
  public:
    explicit SizedCache(size_t most) : most_(most) {}

    // Returns null if it is not here.
    std::shared_ptr<const T> find(const std::string & name) {
        const auto found = index_.find(name);
        if (found == index_.end()) {
            return nullptr;
        }
        entries_.splice(entries_.begin(), entries_, found->second);
        return found->second->value;
    }

    void put(const std::string & name, std::shared_ptr<const T> value, size_t bytes) {
        drop(name);
        entries_.push_front({ name, std::move(value), bytes });
        index_[name] = entries_.begin();
        bytes_ += bytes;
        while (bytes_ > most_ && entries_.size() > 1) {
            drop(std::string(entries_.back().name));
        }
    }

    void drop(const std::string & name) {
        const auto found = index_.find(name);
        if (found != index_.end()) {
            bytes_ -= found->second->bytes;
            entries_.erase(found->second);
            index_.erase(found);
        }
    }

  private:
    struct Entry {
        std::string              name;
        std::shared_ptr<const T> value;
        size_t                   bytes;
    };

    const size_t                                                         most_;
    size_t                                                               bytes_ = 0;
    std::list<Entry>                                                     entries_;  // the one used last first
    std::unordered_map<std::string, typename std::list<Entry>::iterator> index_;
};

}  // namespace luup
