#include "base/child_trial.h"
#include "base/error.h"
#include "media/encoder.h"

#include <chrono>
#include <string>
#include <string_view>

namespace luup {

namespace {

// The limits of the trial. Its child reads the weights again, so the memory is that of large projectors.
constexpr TrialLimits projector_limits = { 120, size_t(16) << 30 };

// Encoding ends after this time: by then, the steps of every kind of layer have run.
constexpr std::chrono::seconds enough(5);

// A PNG of 3 x 2 pixels.
constexpr unsigned char test_picture[] = { 0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49,
                                           0x48, 0x44, 0x52, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x02, 0x08, 0x02,
                                           0x00, 0x00, 0x00, 0x12, 0x16, 0xf1, 0x4d, 0x00, 0x00, 0x00, 0x1f, 0x49, 0x44,
                                           0x41, 0x54, 0x78, 0x01, 0x01, 0x14, 0x00, 0xeb, 0xff, 0x00, 0xff, 0x00, 0x00,
                                           0x00, 0xff, 0x00, 0x00, 0x00, 0xff, 0x00, 0x0a, 0x14, 0x1e, 0x28, 0x32, 0x3c,
                                           0x46, 0x50, 0x5a, 0x33, 0x59, 0x04, 0xc0, 0xc5, 0x32, 0x1e, 0x86, 0x00, 0x00,
                                           0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82 };

// A WAV of a quarter of a second.
std::string test_sound() {
    constexpr uint32_t rate = 16000, samples = rate / 4;
    std::string        wav = "RIFF";
    const auto         add = [&](uint32_t value, int bytes) {
        for (int i = 0; i < bytes; i++) {
            wav += static_cast<char>(value >> 8 * i & 0xff);
        }
    };
    add(36 + 2 * samples, 4);
    wav += "WAVEfmt ";
    add(16, 4);
    add(1, 2);  // PCM
    add(1, 2);  // one channel
    add(rate, 4);
    add(2 * rate, 4);
    add(2, 2);
    add(16, 2);
    wav += "data";
    add(2 * samples, 4);
    for (uint32_t i = 0; i < samples; i++) {
        add(i * 37 % 2000, 2);
    }
    return wav;
}

void encode_test(MediaEncoder & encoder, const Media & file) {
    const auto end = std::chrono::steady_clock::now() + enough;
    encoder.layout(file);
    try {
        encoder.vectors(file, 0, [&] { return std::chrono::steady_clock::now() > end; });
    } catch (const Error & error) {
        if (error.code() != LUUP_ERROR_CANCELLED) {
            throw;
        }
    }
}

}  // namespace

void try_projector(const std::string & path, const llama_model * model, const MediaEncoderParams & params) {
    MediaEncoderParams on_cpu  = params;
    on_cpu.use_gpu             = false;  // drivers of GPUs don't survive a fork
    const auto load_and_encode = [&] {
        MediaEncoder encoder(path, model, on_cpu);
        if (encoder.sees()) {
            const std::string bytes(reinterpret_cast<const char *>(test_picture), sizeof(test_picture));
            encode_test(encoder, read_media(MediaKind::Image, bytes, "the test picture"));
        }
        if (encoder.hears()) {
            encode_test(encoder, read_media(MediaKind::Audio, test_sound(), "the test sound"));
        }
    };
    TrialEnd          end;
    const std::string reason = try_in_child(load_and_encode, projector_limits, &end);
    if (!reason.empty()) {
        const bool named = reason.find(path) != std::string::npos;
        fail(LUUP_ERROR_MODEL_LOAD_FAILED, "%s%s%s",
             named ? "" : ("the projector " + path + " can't be used: ").c_str(), reason.c_str(),
             end == TrialEnd::Killed ? " (it could not be tried)" : "");
    }
}

}  // namespace luup
