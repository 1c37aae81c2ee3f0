#include "media/file.h"

#include "base/error.h"
#include "base/text.h"
#include "media/picture_size.h"

#include "hash/hash.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace luup {

namespace {

bool begins(std::string_view bytes, std::string_view with, size_t at = 0) {
    return bytes.size() >= at + with.size() && bytes.compare(at, with.size(), with) == 0;
}

uint32_t little_endian(std::string_view bytes, size_t at, size_t n) {
    uint32_t value = 0;
    for (size_t i = n; i-- > 0;) {
        value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
    }
    return value;
}

uint32_t big_endian(std::string_view bytes, size_t at) {
    uint32_t value = 0;
    for (size_t i = 0; i < 4; i++) {
        value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
    }
    return value;
}

std::string picture_format(std::string_view bytes) {
    return begins(bytes, "\x89PNG\r\n\x1a\n")                  ? "png"
           : begins(bytes, "\xff\xd8\xff")                     ? "jpeg"
           : begins(bytes, "RIFF") && begins(bytes, "WEBP", 8) ? "webp"
                                                               : "";
}

std::string sound_format(std::string_view bytes) {
    const bool frame = bytes.size() >= 2 && bytes[0] == '\xff' && (static_cast<unsigned char>(bytes[1]) & 0xe6) == 0xe2;
    return begins(bytes, "RIFF") && begins(bytes, "WAVE", 8) ? "wav"
           : begins(bytes, "fLaC")                           ? "flac"
           : begins(bytes, "ID3") || frame                   ? "mp3"
                                                             : "";
}

// Names a format that is known and not read; "" if it is not known either.
std::string other_format(std::string_view bytes) {
    struct Known {
        std::string_view begin;
        size_t           at;
        const char *     name;
    };
    for (const Known & known :
         { Known{ "GIF8", 0, "GIF" }, Known{ "BM", 0, "BMP" }, Known{ std::string_view("II*\0", 4), 0, "TIFF" },
           Known{ std::string_view("MM\0*", 4), 0, "TIFF" }, Known{ "ftypavif", 4, "AVIF" },
           Known{ "ftyphei", 4, "HEIC" }, Known{ "ftyp", 4, "MP4" }, Known{ "OggS", 0, "Ogg" },
           Known{ "%PDF", 0, "PDF" }, Known{ "<svg", 0, "SVG" }, Known{ "\x1a\x45\xdf\xa3", 0, "WebM" } }) {
        if (begins(bytes, known.begin, known.at)) {
            return known.name;
        }
    }
    return "";
}

// Whether a PNG has the chunk of an animation before its picture.
bool is_moving_png(std::string_view bytes) {
    for (size_t at = 8; at + 12 <= bytes.size();) {
        const std::string_view type = bytes.substr(at + 4, 4);
        if (type == "acTL") {
            return true;
        }
        if (type == "IDAT") {
            return false;
        }
        at += size_t(12) + big_endian(bytes, at);
    }
    return false;
}

// Whether a JPEG file breaks off: no marker of an end follows its picture. A decoder would make the rest grey.
bool ends_early(std::string_view jpeg) {
    for (size_t at = 2; at + 4 <= jpeg.size();) {
        const auto marker = static_cast<unsigned char>(jpeg[at + 1]);
        if (jpeg[at] != '\xff') {
            return true;
        }
        if (marker == 0xff) {  // a byte to fill
            at++;
        } else if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {  // without a length
            at += 2;
        } else if (marker == 0xda) {
            return jpeg.find("\xff\xd9", at) == std::string_view::npos;
        } else {
            at += 2 + (static_cast<size_t>(static_cast<unsigned char>(jpeg[at + 2])) << 8 |
                       static_cast<unsigned char>(jpeg[at + 3]));
        }
    }
    return true;
}

// Reads the size of a WebP file, and whether it moves. False if its header is broken.
bool read_webp(std::string_view bytes, MediaFile & file, bool & moves) {
    if (bytes.size() < 30) {
        return false;
    }
    const std::string_view type = bytes.substr(12, 4);
    if (type == "VP8X") {
        moves       = (bytes[20] & 2) != 0;
        file.width  = 1 + little_endian(bytes, 24, 3);
        file.height = 1 + little_endian(bytes, 27, 3);
    } else if (type == "VP8L" && bytes[20] == 0x2f) {
        const uint32_t bits = little_endian(bytes, 21, 4);
        file.width          = 1 + (bits & 0x3fff);
        file.height         = 1 + (bits >> 14 & 0x3fff);
    } else if (type == "VP8 " && begins(bytes, "\x9d\x01\x2a", 23)) {
        file.width  = little_endian(bytes, 26, 2) & 0x3fff;
        file.height = little_endian(bytes, 28, 2) & 0x3fff;
    }
    return file.width > 0 && file.height > 0;
}

void check_pixels(const MediaFile & file, const std::string & name) {
    if (uint64_t(file.width) * file.height > media_limits::pixels) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s has %u x %u pixels; at most %llu million are allowed: make it smaller",
             name.c_str(), file.width, file.height, static_cast<unsigned long long>(media_limits::pixels / 1'000'000));
    }
}

void check_picture(MediaFile & file, std::string_view bytes, const std::string & name) {
    bool moves = false, whole = false;
    if (file.format == "webp") {
        whole = read_webp(bytes, file, moves);
    } else {
        if (file.format == "png" && bytes.size() >= 24) {  // stb_image calls one that is too large a broken one
            file.width  = big_endian(bytes, 16);
            file.height = big_endian(bytes, 20);
            check_pixels(file, name);
        }
        whole = read_picture_size(bytes, file.width, file.height);
        moves = file.format == "png" && is_moving_png(bytes);
    }
    if (!whole) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s is a broken %s file: its header can't be read", name.c_str(),
             file.format.c_str());
    }
    if (file.format == "jpeg" && ends_early(bytes)) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s is a broken jpeg file: it ends too early", name.c_str());
    }
    if (moves) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s is an animation; give one of its frames as a picture", name.c_str());
    }
    check_pixels(file, name);
}

constexpr char base64_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string MediaFile::mime_type() const {
    return (kind == MediaKind::Image ? "image/" : "audio/") + format;
}

MediaFile read_media_header(MediaKind kind, std::string_view bytes, const std::string & name) {
    const bool   picture = kind == MediaKind::Image;
    const char * formats = picture ? "a PNG, JPEG or WebP picture" : "a WAV, MP3 or FLAC sound";
    if (bytes.empty()) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s has no bytes; %s is needed", name.c_str(), formats);
    }
    if (bytes.size() > media_limits::bytes) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s has %zu bytes; at most %zu are allowed", name.c_str(), bytes.size(),
             media_limits::bytes);
    }
    MediaFile file;
    file.kind   = kind;
    file.format = picture ? picture_format(bytes) : sound_format(bytes);
    if (file.format.empty()) {
        const std::string other = other_format(bytes);
        fail(LUUP_ERROR_INVALID_PARAM, "%s is not %s%s%s", name.c_str(), formats,
             other.empty() ? "" : ", but of the format ", other.c_str());
    }
    if (picture) {
        check_picture(file, bytes, name);
    }
    return file;
}

Media read_media(MediaKind kind, std::string bytes, const std::string & name) {
    auto file   = std::make_shared<MediaFile>(read_media_header(kind, bytes, name));
    file->bytes = std::move(bytes);
    file->hash  = hash_sha256_hex(file->bytes.data(), file->bytes.size());
    return file;
}

Media read_media_url(MediaKind kind, const std::string & url, const std::string & name) {
    if (url.compare(0, 5, "data:") == 0) {
        const size_t comma = url.find(',');
        if (comma == std::string::npos || !ends_with(std::string_view(url).substr(0, comma), ";base64")) {
            fail(LUUP_ERROR_INVALID_PARAM, "%s is a data URL without \";base64,\": encode the file in Base64",
                 name.c_str());
        }
        return read_media(kind, decode_base64(std::string_view(url).substr(comma + 1), name), name);
    }
    if (url.compare(0, 7, "http://") != 0 && url.compare(0, 8, "https://") != 0) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s must be a data URL or begin with http:// or https://, not \"%.40s\"",
             name.c_str(), url.c_str());
    }
    auto file  = std::make_shared<MediaFile>();
    file->kind = kind;
    file->url  = url;
    file->hash = hash_sha256_hex(url.data(), url.size());
    return file;
}

std::string decode_base64(std::string_view text, const std::string & name) {
    signed char values[256];
    std::memset(values, -1, sizeof(values));
    for (int i = 0; i < 64; i++) {
        values[static_cast<unsigned char>(base64_letters[i])] = static_cast<signed char>(i);
    }
    while (!text.empty() && text.back() == '=') {
        text.remove_suffix(1);
    }
    std::string bytes;
    bytes.reserve(text.size() / 4 * 3 + 3);
    uint32_t bits = 0;
    int      n    = 0;
    for (const char c : text) {
        if (c == '\r' || c == '\n') {
            continue;
        }
        const signed char value = values[static_cast<unsigned char>(c)];
        if (value < 0) {
            fail(LUUP_ERROR_INVALID_PARAM, "%s is not Base64", name.c_str());
        }
        bits = bits << 6 | static_cast<uint32_t>(value);
        n += 6;
        if (n >= 8) {
            n -= 8;
            bytes += static_cast<char>(bits >> n & 0xff);
        }
    }
    return bytes;
}

std::string encode_base64(std::string_view bytes) {
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (size_t i = 0; i < bytes.size(); i += 3) {
        uint32_t     bits = 0;
        const size_t n    = std::min<size_t>(3, bytes.size() - i);
        for (size_t k = 0; k < 3; k++) {
            bits = bits << 8 | (k < n ? static_cast<unsigned char>(bytes[i + k]) : 0u);
        }
        for (size_t k = 0; k < 4; k++) {
            text += k <= n ? base64_letters[bits >> (18 - 6 * k) & 63] : '=';
        }
    }
    return text;
}

}  // namespace luup
