// The pixels of pictures and the samples of sounds.
#pragma once

#include "media/file.h"

#include <vector>

namespace luup {

// Returns the pixels of a picture as bytes, red, green and blue each. Throws Error(LUUP_ERROR_INVALID_PARAM) if the
// file is broken, and Error(LUUP_ERROR_UNSUPPORTED) for WebP, which this library can't decode.
std::vector<unsigned char> decode_picture(const MediaFile & file);

// Returns the samples of a sound, of all channels together. Throws Error(LUUP_ERROR_INVALID_PARAM) if the file is
// broken or too long, and the Error of this thread's interruption.
std::vector<float> decode_sound(const MediaFile & file, int samples_per_second);

}  // namespace luup
