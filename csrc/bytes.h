// A large block of memory that is written before it is read.
#pragma once

#include "ggml-impl.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace luup {

// Not set to zero, and from where ggml's own buffers come: on Linux large ones lie on huge pages. Throws std::bad_alloc.
class Bytes {
  public:
    Bytes() : Bytes(0) {}
    explicit Bytes(size_t size) : data_(size > 0 ? static_cast<uint8_t *>(ggml_aligned_malloc(size)) : nullptr, Free{ size }) {
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
