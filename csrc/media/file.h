// Pictures and sounds as the files that they come in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace luup {

enum class MediaKind { Image, Audio };

namespace media_limits {

constexpr size_t   bytes   = size_t(64) << 20;  // of a file
constexpr uint64_t pixels  = 64'000'000;        // of a picture, before it is decoded
constexpr int      seconds = 1800;              // of a sound

}  // namespace media_limits

// A picture or sound whose header was checked. Only a remote model can have an address in place of bytes.
struct MediaFile {
    MediaKind   kind = MediaKind::Image;
    std::string format;  // "png", "jpeg", "webp", "wav", "mp3" or "flac"
    std::string bytes;
    std::string url;         // "http…" of a picture; else ""
    std::string hash;        // SHA-256 of the bytes or the address
    uint32_t    width  = 0;  // of a picture, in pixels; 0 if only its address is known
    uint32_t    height = 0;

    // Returns the type for a data URL, such as "image/png".
    std::string mime_type() const;
};

using Media = std::shared_ptr<const MediaFile>;

// Return a file that was checked: its format, its size, and that a picture does not move. `name` is what messages call
// it. Throw Error(LUUP_ERROR_INVALID_PARAM).
Media read_media(MediaKind kind, std::string bytes, const std::string & name);
Media read_media_url(MediaKind kind, const std::string & url, const std::string & name);

// Does the same for the header alone: the file has neither bytes nor a hash.
MediaFile read_media_header(MediaKind kind, std::string_view bytes, const std::string & name);

// Returns the bytes of Base64. Throws Error(LUUP_ERROR_INVALID_PARAM).
std::string decode_base64(std::string_view text, const std::string & name);
std::string encode_base64(std::string_view bytes);

}  // namespace luup
