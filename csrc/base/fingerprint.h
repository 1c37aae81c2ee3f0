// A checksum that detects damage, not manipulation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace luup {

// A 64-bit checksum. Four independent sums run in parallel for speed and are combined with the remaining bytes.
class Fingerprint {
  public:
    void add(const void * data, size_t size) {
        const auto * bytes    = static_cast<const unsigned char *>(data);
        uint64_t     lanes[4] = { state_, ~state_, state_ << 32 | state_ >> 32, ~(state_ << 32 | state_ >> 32) };
        for (; size >= 32; bytes += 32, size -= 32) {
            for (int lane = 0; lane < 4; lane++) {
                mix(lanes[lane], word(bytes + 8 * lane));
            }
        }
        for (const uint64_t lane : lanes) {
            mix(state_, lane);
        }
        for (; size >= 8; bytes += 8, size -= 8) {
            mix(state_, word(bytes));
        }
        uint64_t rest = size;
        for (size_t i = 0; i < size; i++) {
            rest = rest << 8 | bytes[i];
        }
        mix(state_, rest);
    }

    uint64_t value() const { return state_; }

  private:
    static uint64_t word(const unsigned char * bytes) {
        uint64_t value;
        std::memcpy(&value, bytes, sizeof(value));
        return value;
    }

    // The finalizer of MurmurHash3.
    static void mix(uint64_t & state, uint64_t word) {
        state ^= word;
        state *= 0xff51afd7ed558ccdULL;
        state ^= state >> 33;
        state *= 0xc4ceb9fe1a85ec53ULL;
        state ^= state >> 29;
    }

    uint64_t state_ = 0x9e3779b97f4a7c15ULL;
};

}  // namespace luup
