#include "base/error.h"
#include "base/interrupt.h"
#include "media/decode.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

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

namespace {

// Samples per second: a few bytes with less would become minutes of sound.
constexpr int least_rate = 1000;

// The bytes of a sound, as a decoder reads them. miniaudio follows the sizes in a file without a check, so a file can
// make it loop: after more jumps than a valid file needs, and when the run has to end, a read returns no bytes.
class SoundBytes {
  public:
    explicit SoundBytes(const std::string & bytes) : bytes_(bytes), jumps_(bytes.size() + usual_jumps) {}

    static ma_result read(ma_decoder * decoder, void * into, size_t size, size_t * read) {
        auto &       self = *static_cast<SoundBytes *>(decoder->pUserData);
        const size_t n    = self.is_over() ? 0 : std::min(size, self.bytes_.size() - self.at_);
        std::memcpy(into, self.bytes_.data() + self.at_, n);
        self.at_ += n;
        *read = n;
        return n > 0 || size == 0 ? MA_SUCCESS : MA_AT_END;
    }

    static ma_result seek(ma_decoder * decoder, ma_int64 offset, ma_seek_origin origin) {
        auto &     self = *static_cast<SoundBytes *>(decoder->pUserData);
        const auto size = static_cast<ma_int64>(self.bytes_.size());
        const auto from = origin == ma_seek_origin_start ? 0
                          : origin == ma_seek_origin_end ? size
                                                         : static_cast<ma_int64>(self.at_);
        if (self.jumps_ == 0 || self.is_over()) {
            return MA_BAD_SEEK;
        }
        self.jumps_--;
        // A jump to a place behind the end goes to the end: many files claim more bytes than they have.
        self.at_ = static_cast<size_t>(offset > size - from ? size : std::max<ma_int64>(0, from + offset));
        return MA_SUCCESS;
    }

  private:
    static constexpr size_t usual_jumps = 10000;

    bool is_over() const { return jumps_ == 0 || interruption(); }

    const std::string & bytes_;
    size_t              at_ = 0, jumps_;
};

}  // namespace

std::vector<float> decode_sound(const MediaFile & file, int samples_per_second) {
    const ma_decoder_config config =
        ma_decoder_config_init(ma_format_f32, 1, static_cast<ma_uint32>(samples_per_second));
    ma_decoder decoder;
    SoundBytes bytes(file.bytes);
    if (ma_decoder_init(SoundBytes::read, SoundBytes::seek, &bytes, &config, &decoder) != MA_SUCCESS) {
        check_interruption();
        fail(LUUP_ERROR_INVALID_PARAM, "a sound is a broken %s file", file.format.c_str());
    }
    struct End {
        ma_decoder * decoder;

        ~End() { ma_decoder_uninit(decoder); }
    } const end{ &decoder };

    const auto rate = static_cast<int>(decoder.converter.sampleRateIn);
    if (rate < least_rate) {
        fail(LUUP_ERROR_INVALID_PARAM, "a sound has %d samples per second; at least %d are needed", rate, least_rate);
    }
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
    if (!std::all_of(samples.begin(), samples.end(), [](float x) { return std::isfinite(x); })) {
        fail(LUUP_ERROR_INVALID_PARAM, "a sound is a broken %s file: it has samples that are not finite",
             file.format.c_str());
    }
    if (samples.size() < 2) {
        fail(LUUP_ERROR_INVALID_PARAM, "a sound is a broken or empty %s file: it has no samples", file.format.c_str());
    }
    return samples;
}

}  // namespace luup
