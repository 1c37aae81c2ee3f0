// A hash table from 64-bit keys to numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace luup {

// Distributes the bits of a number over all bits of the result.
inline uint64_t mix_bits(uint64_t x) {
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93u;
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93u;
    return x ^ (x >> 32);
}

// Open addressing. Keys must not be 0.
class KeyTable {
  public:
    KeyTable() { clear(); }

    // Returns the number of `key`; a new key gets the number `fresh`.
    uint32_t find_or_add(uint64_t key, uint32_t fresh);
    void     clear();
    size_t   size() const { return used_; }

  private:
    struct Entry {
        uint64_t key;
        uint32_t value;
    };

    Entry & slot(uint64_t key);

    std::vector<Entry> entries_;
    size_t             used_ = 0;
};

inline void KeyTable::clear() {
    entries_.assign(64, Entry{ 0, 0 });
    used_ = 0;
}

inline KeyTable::Entry & KeyTable::slot(uint64_t key) {
    size_t i = mix_bits(key) & (entries_.size() - 1);
    while (entries_[i].key != 0 && entries_[i].key != key) {
        i = (i + 1) & (entries_.size() - 1);
    }
    return entries_[i];
}

inline uint32_t KeyTable::find_or_add(uint64_t key, uint32_t fresh) {
    if (used_ * 2 >= entries_.size()) {
        std::vector<Entry> old(entries_.size() * 2, Entry{ 0, 0 });
        old.swap(entries_);
        for (const Entry & entry : old) {
            if (entry.key != 0) {
                slot(entry.key) = entry;
            }
        }
    }
    Entry & entry = slot(key);
    if (entry.key == 0) {
        entry = { key, fresh };
        used_++;
    }
    return entry.value;
}

}  // namespace luup
