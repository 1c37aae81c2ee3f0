#include "base/error.h"
#include "base/interrupt.h"
#include "media/decode.h"

#include <algorithm>

#define MINIAUDIO_IMPLEMENTATION
#define MA_NO_ENCODING
#define MA_NO_DEVICE_IO
#define MA_NO_THREADING
#define MA_NO_RESOURCE_MANAGER
#define MA_NO_NODE_GRAPH
#define MA_NO_ENGINE
#define MA_NO_GENERATION
#define MA_API static
#include "miniaudio/miniaudio.h"

namespace luup {

std::vector<float> decode_sound(const MediaFile & file, int samples_per_second) {
    const ma_decoder_config config =
        ma_decoder_config_init(ma_format_f32, 1, static_cast<ma_uint32>(samples_per_second));
    ma_decoder decoder;
    if (ma_decoder_init_memory(file.bytes.data(), file.bytes.size(), &config, &decoder) != MA_SUCCESS) {
        fail(LUUP_ERROR_INVALID_PARAM, "a sound is a broken %s file", file.format.c_str());
    }
    struct End {
        ma_decoder * decoder;

        ~End() { ma_decoder_uninit(decoder); }
    } const end{ &decoder };

    const auto         block = static_cast<size_t>(samples_per_second);
    std::vector<float> samples;
    for (ma_uint64 read = 1; read > 0;) {
        check_interruption();
        const size_t at = samples.size();
        if (at > block * media_limits::seconds) {
            fail(LUUP_ERROR_INVALID_PARAM, "a sound takes more than %d minutes; split it", media_limits::seconds / 60);
        }
        samples.resize(at + block);
        read = 0;
        ma_decoder_read_pcm_frames(&decoder, samples.data() + at, block, &read);
        samples.resize(at + static_cast<size_t>(read));
    }
    if (samples.size() < 2) {
        fail(LUUP_ERROR_INVALID_PARAM, "a sound is a broken or empty %s file: it has no samples", file.format.c_str());
    }
    return samples;
}

}  // namespace luup
