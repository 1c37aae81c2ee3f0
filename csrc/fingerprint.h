// A checksum against accidents, not against forgers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace luup {

// 64 bits over all bytes added, eight at a time.
class Fingerprint {
  public:
    void add(const void * data, size_t size) {
        const auto * bytes = static_cast<const unsigned char *>(data);
        for (; size >= 8; bytes += 8, size -= 8) {
            uint64_t word;
            std::memcpy(&word, bytes, 8);
            mix(word);
        }
        uint64_t rest = size;
        for (size_t i = 0; i < size; i++) {
            rest = rest << 8 | bytes[i];
        }
        mix(rest);
    }

    uint64_t value() const { return state_; }

  private:
    // The finalizer of MurmurHash3.
    void mix(uint64_t word) {
        state_ ^= word;
        state_ *= 0xff51afd7ed558ccdULL;
        state_ ^= state_ >> 33;
        state_ *= 0xc4ceb9fe1a85ec53ULL;
        state_ ^= state_ >> 29;
    }

    uint64_t state_ = 0x9e3779b97f4a7c15ULL;
};

}  // namespace luup
