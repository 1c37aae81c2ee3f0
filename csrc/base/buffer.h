// A large block of uninitialised memory.
#pragma once

#include "ggml-impl.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace luup {

// Allocated as ggml allocates its own buffers: on Linux, large ones use huge pages. The bytes are not set to zero.
// Throws std::bad_alloc.
class Buffer {
  public:
    Buffer() : Buffer(0) {}
    explicit Buffer(size_t size)
        : data_(size > 0 ? static_cast<uint8_t *>(ggml_aligned_malloc(size)) : nullptr, Free{ size }) {
        if (size > 0 && !data_) {
            throw std::bad_alloc();
        }
    }

    uint8_t *       data() { return data_.get(); }
    const uint8_t * data() const { return data_.get(); }
    size_t          size() const { return data_ ? data_.get_deleter().size : 0; }

  private:
    struct Free {
        size_t size;
        void   operator()(uint8_t * data) const { ggml_aligned_free(data, size); }
    };

    std::unique_ptr<uint8_t, Free> data_;
};

}  // namespace luup
