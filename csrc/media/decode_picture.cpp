#include "base/error.h"
#include "media/decode.h"
#include "media/picture_size.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

namespace luup {

// Refuses allocations beyond the needs of a picture of the size in its header: compressed data may claim gigabytes.
class PictureMemory {
  public:
    explicit PictureMemory(const MediaFile & file) : outer_(limit_) {
        limit_ = size_t(16) * file.width * file.height + 2 * file.bytes.size() + (size_t(1) << 20);
        short_ = false;
    }

    ~PictureMemory() { limit_ = outer_; }

    PictureMemory(const PictureMemory &)             = delete;
    PictureMemory & operator=(const PictureMemory &) = delete;

    // Whether the memory of the process was short.
    static bool is_short() { return short_; }

    static void * resize(void * old, size_t bytes) {
        void * memory = bytes > limit_ ? nullptr : std::realloc(old, std::max<size_t>(bytes, 1));
        short_        = short_ || (!memory && bytes <= limit_);
        return memory;
    }

  private:
    static thread_local size_t limit_;
    static thread_local bool   short_;
    size_t                     outer_;
};

thread_local size_t PictureMemory::limit_ = size_t(1) << 24;
thread_local bool   PictureMemory::short_ = false;

}  // namespace luup

// A PNG whose first part is empty copies no bytes to no place, which is formally undefined.
#if defined(__clang__)
#    pragma clang attribute push(__attribute__((no_sanitize("nonnull-attribute"))), apply_to = function)
#endif
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_MALLOC(size) luup::PictureMemory::resize(nullptr, size)
#define STBI_REALLOC(old, size) luup::PictureMemory::resize(old, size)
#define STBI_FREE(old) std::free(old)
#include "stb/stb_image.h"
#if defined(__clang__)
#    pragma clang attribute pop
#endif

namespace luup {

bool read_picture_size(std::string_view bytes, uint32_t & width, uint32_t & height) {
    int        x = 0, y = 0, channels = 0;
    const auto data = reinterpret_cast<const stbi_uc *>(bytes.data());
    if (!stbi_info_from_memory(data, static_cast<int>(bytes.size()), &x, &y, &channels) || x < 1 || y < 1) {
        return false;
    }
    width  = static_cast<uint32_t>(x);
    height = static_cast<uint32_t>(y);
    return true;
}

std::vector<unsigned char> decode_picture(const MediaFile & file) {
    if (file.format == "webp") {
        fail(
            LUUP_ERROR_UNSUPPORTED,
            "a local model can't read WebP by itself: give a PNG or JPEG picture, or install the package that converts "
            "it: pip install \"luup-agent[images]\"");
    }
    const PictureMemory                              memory(file);
    int                                              width = 0, height = 0, channels = 0;
    const auto                                       data = reinterpret_cast<const stbi_uc *>(file.bytes.data());
    const std::unique_ptr<stbi_uc, void (*)(void *)> pixels(
        stbi_load_from_memory(data, static_cast<int>(file.bytes.size()), &width, &height, &channels, 3), std::free);
    if (!pixels || static_cast<uint32_t>(width) != file.width || static_cast<uint32_t>(height) != file.height) {
        if (PictureMemory::is_short()) {
            throw std::bad_alloc();
        }
        const char * reason = stbi_failure_reason();
        fail(LUUP_ERROR_INVALID_PARAM, "a picture is a broken %s file of %u x %u pixels: %s", file.format.c_str(),
             file.width, file.height, pixels || !reason ? "its parts contradict each other" : reason);
    }
    return { pixels.get(), pixels.get() + size_t(3) * file.width * file.height };
}

}  // namespace luup
