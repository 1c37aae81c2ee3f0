// The header of a picture or sound, and the picture itself: it is refused, or as large as its header says.
#include "media/decode.h"
#include "media/file.h"

#include "target.h"

using namespace luup;

FUZZ_TARGET() {
    constexpr uint64_t most_pixels = 1 << 20;  // larger ones take too long
    for (const MediaKind kind : { MediaKind::Image, MediaKind::Audio }) {
        MediaFile file;
        try {
            file = read_media_header(kind, input, "it");
        } catch (const Error & error) {
            MUST(error.code() == LUUP_ERROR_INVALID_PARAM);
            continue;
        }
        file.bytes = std::string(input);
        if (kind == MediaKind::Audio) {
            decode_sound(file, 16000);
        } else if (uint64_t(file.width) * file.height <= most_pixels) {
            MUST(file.width > 0 && file.height > 0);
            MUST(decode_picture(file).size() == size_t(3) * file.width * file.height);
        }
    }
    // Base64 of any text is refused or read; of any bytes it is read back.
    MUST(decode_base64(encode_base64(input), "it") == input);
    read_media_url(MediaKind::Image, std::string(input), "it");
}
