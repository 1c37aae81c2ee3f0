// Files of pictures and sounds: which are taken, and how they are written as text.
#include "check.h"
#include "base/error.h"
#include "media/file.h"
#include "media/sized_cache.h"

#include <memory>
#include <string>

using namespace luup;

namespace {

// Returns the message of the error with which a file is refused; "" if it is taken.
std::string refusal(MediaKind kind, const std::string & bytes) {
    try {
        read_media(kind, bytes, "it");
        return "";
    } catch (const Error & error) {
        return error.code() == LUUP_ERROR_INVALID_PARAM ? error.what() : "another code";
    }
}

bool says(const std::string & text, const std::string & words) {
    return text.find(words) != std::string::npos;
}

}  // namespace

CASE(base64_of_all_lengths) {
    std::string bytes;
    for (int i = 0; i < 300; i++) {
        CHECK(decode_base64(encode_base64(bytes), "it") == bytes);
        bytes += static_cast<char>(i * 37);
    }
    CHECK(encode_base64("Man") == "TWFu" && encode_base64("Ma") == "TWE=" && encode_base64("M") == "TQ==");
    CHECK(decode_base64("TW\nFu", "it") == "Man");
    for (const char * wrong : { "T*Fu", "TWFu TWFu", "\xff" }) {
        bool refused = false;
        try {
            decode_base64(wrong, "it");
        } catch (const Error & error) {
            refused = says(error.what(), "it is not Base64");
        }
        CHECK(refused);
    }
}

CASE(files_are_refused_by_their_headers) {
    const std::string png = "\x89PNG\r\n\x1a\n";
    CHECK(says(refusal(MediaKind::Image, ""), "no bytes"));
    CHECK(says(refusal(MediaKind::Image, "hello"), "is not a PNG"));
    CHECK(says(refusal(MediaKind::Image, "GIF89a"), "of the format GIF"));
    CHECK(says(refusal(MediaKind::Image, png), "broken png"));
    CHECK(says(refusal(MediaKind::Image, "\xff\xd8\xff\xe0"), "broken jpeg"));
    CHECK(says(refusal(MediaKind::Image, std::string("RIFF\0\0\0\0WEBPVP8 ", 16)), "broken webp"));
    CHECK(says(refusal(MediaKind::Audio, png), "is not a WAV"));
    CHECK(refusal(MediaKind::Audio, std::string("RIFF\0\0\0\0WAVE", 12)).empty());
    CHECK(says(refusal(MediaKind::Audio, std::string(media_limits::bytes + 1, 'x')), "at most"));
}

CASE(equal_files_have_equal_hashes) {
    const std::string wav = std::string("RIFF\0\0\0\0WAVE", 12);
    const Media       one = read_media(MediaKind::Audio, wav, "it"), same = read_media(MediaKind::Audio, wav, "it");
    CHECK(one->hash == same->hash && one->hash.size() == 64 && one->mime_type() == "audio/wav");
    CHECK(read_media(MediaKind::Audio, wav + "x", "it")->hash != one->hash);
    const Media address = read_media_url(MediaKind::Image, "https://example.org/a.png", "it");
    CHECK(address->bytes.empty() && address->url == "https://example.org/a.png");
    CHECK(read_media_url(MediaKind::Audio, "data:audio/wav;base64," + encode_base64(wav), "it")->hash == one->hash);
}

CASE(a_sized_cache_drops_what_was_used_longest_ago) {
    SizedCache<int> cache(100);
    for (const char * name : { "a", "b", "c" }) {
        cache.put(name, std::make_shared<const int>(1), 40);
        CHECK(cache.find("a") != nullptr);  // used again and again
    }
    CHECK(cache.find("a") && !cache.find("b") && cache.find("c"));
    cache.put("huge", std::make_shared<const int>(2), 1000);
    CHECK(cache.find("huge") && !cache.find("a"));
    cache.put("huge", std::make_shared<const int>(3), 10);
    CHECK(*cache.find("huge") == 3);
}
