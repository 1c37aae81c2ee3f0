#include "media/encoder.h"

#include "base/child_trial.h"
#include "base/error.h"
#include "base/fingerprint.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "media/decode.h"
#include "media/projector_file.h"
#include "tokens/media_token.h"

#include "mtmd.h"

#include <algorithm>
#include <cmath>
#include <chrono>
#include <new>
#include <utility>

namespace luup {

namespace {

// Bytes that each cache may take.
constexpr size_t most_layout_bytes = size_t(16) << 20;
constexpr size_t most_pixel_bytes  = size_t(128) << 20;
constexpr size_t most_vector_bytes = size_t(256) << 20;

// The encoder is asked to stop between groups of so many steps of its graph.
constexpr uint32_t steps_between_stops = 8;

// Pictures of unusual shapes have a side of fewer pixels than this, or are oblong by more than that.
constexpr uint32_t    least_side     = 8;
constexpr uint32_t    most_oblong    = 32;
constexpr TrialLimits unusual_limits = { 60, size_t(8) << 30 };

bool is_unusual(const MediaFile & file) {
    const uint32_t shorter = std::min(file.width, file.height), longer = std::max(file.width, file.height);
    return file.kind == MediaKind::Image && file.url.empty() &&
           (shorter < least_side || longer / shorter > most_oblong);
}

bool speaks_of_memory(const std::string & log) {
    return log.find("alloc") != std::string::npos || log.find("memory") != std::string::npos;
}

const char * name_of(MediaKind kind) {
    return kind == MediaKind::Image ? "picture" : "sound";
}

std::string name_of(const Media & file, size_t index) {
    return file->hash + "/" + std::to_string(index);
}

}  // namespace

struct MediaEncoder::Pixels {
    std::unique_ptr<mtmd_input_chunks, void (*)(mtmd_input_chunks *)> chunks{ mtmd_input_chunks_init(),
                                                                              mtmd_input_chunks_free };
    size_t                                                            bytes = 0;  // a rough figure

    // The chunk of vectors number `index`; null if there is none.
    const mtmd_input_chunk * chunk(size_t index) const {
        for (size_t i = 0; i < mtmd_input_chunks_size(chunks.get()); i++) {
            const mtmd_input_chunk * each = mtmd_input_chunks_get(chunks.get(), i);
            if (mtmd_input_chunk_get_type(each) != MTMD_INPUT_CHUNK_TYPE_TEXT && index-- == 0) {
                return each;
            }
        }
        return nullptr;
    }
};

MediaEncoder::MediaEncoder(const std::string & path, const llama_model * model, const MediaEncoderParams & params)
    : params_(params),
      vector_size_(static_cast<size_t>(llama_model_n_embd_inp(model))),
      layouts_(most_layout_bytes),
      pixels_(most_pixel_bytes),
      vectors_(most_vector_bytes) {
    check_projector(path);
    ggml_log_callback log_to   = nullptr;
    void *            log_data = nullptr;
    llama_log_get(&log_to, &log_data);
    mtmd_log_set(log_to, log_data);
    mtmd_context_params p = mtmd_context_params_default();
    p.use_gpu             = params.use_gpu;
    p.print_timings       = false;
    p.n_threads           = params.threads;
    p.cb_eval_user_data   = this;
    p.cb_eval             = [](ggml_tensor *, bool ask, void * data) {
        auto * self = static_cast<MediaEncoder *>(data);
        if (ask) {
            return ++self->nodes_ % steps_between_stops == 0;
        }
        self->stopped_ = self->stopped_ || (self->stop_ && (*self->stop_)());
        return !self->stopped_;
    };
    LogCapture log;
    try {
        context_ = mtmd_init_from_file(path.c_str(), model, p);
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception & e) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED, "the projector %s can't be loaded: %s", path.c_str(), e.what());
    }
    if (!context_) {
        const std::string & reason = log.text();
        fail(speaks_of_memory(reason) ? LUUP_ERROR_OUT_OF_MEMORY : LUUP_ERROR_MODEL_LOAD_FAILED,
             "the projector %s can't be loaded: %s", path.c_str(), reason.empty() ? "it is damaged" : reason.c_str());
    }
}

MediaEncoder::~MediaEncoder() {
    mtmd_free(context_);
}

bool MediaEncoder::sees() const {
    return mtmd_support_vision(context_);
}

bool MediaEncoder::hears() const {
    return mtmd_support_audio(context_);
}

std::shared_ptr<const MediaLayout> MediaEncoder::layout(const Media & file) {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        if (auto known = layouts_.find(file->hash)) {
            return known;
        }
    }
    const auto ready = pixels(file);
    auto       made  = lay_out(*file, *ready);
    size_t     bytes = 256;
    for (const MediaPiece & piece : *made) {
        bytes += sizeof(piece) + piece.tokens.size() * sizeof(llama_token);
    }
    std::lock_guard<std::mutex> lock(mutex_);
    layouts_.put(file->hash, made, bytes);
    return made;
}

std::shared_ptr<const MediaEncoder::Pixels> MediaEncoder::pixels(const Media & file) {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        if (auto known = pixels_.find(file->hash)) {
            return known;
        }
    }
    if (is_unusual(*file)) {
        try_unusual(file);
    }
    auto                        made = prepare(file);
    std::lock_guard<std::mutex> lock(mutex_);
    pixels_.put(file->hash, made, made->bytes);
    return made;
}

// Decodes a file and brings it into the encoder's form.
std::shared_ptr<const MediaEncoder::Pixels> MediaEncoder::prepare(const Media & file) const {
    const bool picture = file->kind == MediaKind::Image;
    if (!(picture ? sees() : hears())) {
        fail(LUUP_ERROR_UNSUPPORTED, picture ? "the model's projector (mmproj) hears, but can't see pictures"
                                             : "the model's projector (mmproj) sees, but can't hear sounds");
    }
    if (!file->url.empty()) {
        fail(LUUP_ERROR_UNSUPPORTED, "a local model can't fetch %.200s: give the bytes of the picture",
             file->url.c_str());
    }
    using Bitmap = std::unique_ptr<mtmd_bitmap, void (*)(mtmd_bitmap *)>;
    Bitmap bitmap(nullptr, mtmd_bitmap_free);
    auto   made = std::make_shared<Pixels>();
    if (picture) {
        const auto pixels = decode_picture(*file);
        bitmap.reset(mtmd_bitmap_init(file->width, file->height, pixels.data()));
    } else {
        const auto samples = decode_sound(*file, mtmd_get_audio_sample_rate(context_));
        bitmap.reset(mtmd_bitmap_init_from_audio(samples.size(), samples.data()));
    }
    check_interruption();
    LogCapture              log;
    const mtmd_input_part   part  = { nullptr, bitmap.get() };
    const mtmd_input_part * parts = &part;
    if (mtmd_tokenize_from_parts(context_, made->chunks.get(), &parts, 1, false) != 0 || !made->chunk(0)) {
        fail(speaks_of_memory(log.text()) ? LUUP_ERROR_OUT_OF_MEMORY : LUUP_ERROR_INVALID_PARAM,
             "a %s of the format %s can't be prepared for the encoder: %s", name_of(file->kind), file->format.c_str(),
             log.text().empty() ? "it makes no tokens" : log.text().c_str());
    }
    for (size_t i = 0; made->chunk(i); i++) {  // 28 x 28 pixels, three colours, four bytes
        made->bytes += mtmd_input_chunk_get_n_tokens(made->chunk(i)) * size_t(28 * 28 * 3 * 4);
    }
    return made;
}

// Prepares a picture of an unusual shape in a child process first, and begins to encode it: an assertion of llama.cpp
// would end the process.
void MediaEncoder::try_unusual(const Media & file) {
    const auto turn   = wait_for_turn([] { return false; });  // the child needs an idle encoder
    const auto reason = try_in_child(
        [&] {
            const auto made = prepare(file);
            for (size_t i = 0; made->chunk(i); i++) {
                try {
                    encode(*made, i, [] { return true; });
                } catch (const Error & error) {
                    if (error.code() != LUUP_ERROR_CANCELLED) {
                        throw;
                    }
                }
            }
        },
        unusual_limits);
    if (!reason.empty()) {
        fail(LUUP_ERROR_INVALID_PARAM, "a picture of %u x %u pixels can't be used with this projector: %s", file->width,
             file->height, reason.c_str());
    }
}

std::unique_lock<std::timed_mutex> MediaEncoder::wait_for_turn(const std::function<bool()> & stop) {
    std::unique_lock<std::timed_mutex> turn(encoding_, std::try_to_lock);
    while (!turn && !turn.try_lock_for(std::chrono::milliseconds(10))) {
        check_interruption();
        if (stop()) {
            fail(LUUP_ERROR_CANCELLED, "the run was cancelled");
        }
    }
    return turn;
}

std::shared_ptr<MediaLayout> MediaEncoder::lay_out(const MediaFile & file, const Pixels & pixels) const {
    auto       layout  = std::make_shared<MediaLayout>();
    const bool picture = file.kind == MediaKind::Image;
    size_t     index   = 0;
    for (size_t i = 0; i < mtmd_input_chunks_size(pixels.chunks.get()); i++) {
        const mtmd_input_chunk * chunk = mtmd_input_chunks_get(pixels.chunks.get(), i);
        MediaPiece               piece;
        if (mtmd_input_chunk_get_type(chunk) == MTMD_INPUT_CHUNK_TYPE_TEXT) {
            size_t              n     = 0;
            const llama_token * first = mtmd_input_chunk_get_tokens_text(chunk, &n);
            piece.tokens.assign(first, first + n);
            layout->push_back(std::move(piece));
            continue;
        }
        piece.is_chunk        = true;
        piece.chunk.index     = index++;
        piece.chunk.tokens    = static_cast<int32_t>(mtmd_input_chunk_get_n_tokens(chunk));
        piece.chunk.positions = mtmd_input_chunk_get_n_pos(chunk);
        piece.chunk.causal    = !mtmd_decode_use_non_causal(context_, chunk);
        if (piece.chunk.tokens < 1 || piece.chunk.positions < 1 || piece.chunk.positions > piece.chunk.tokens) {
            fail(LUUP_ERROR_INVALID_PARAM, "a %s makes %d tokens at %d positions: it can't be used", name_of(file.kind),
                 piece.chunk.tokens, piece.chunk.positions);
        }
        if (!piece.chunk.causal && piece.chunk.tokens > params_.batch) {
            fail(LUUP_ERROR_INVALID_PARAM,
                 "a picture makes %d tokens that have to be computed at once: load the model with a batch_size of at "
                 "least that, not %d",
                 piece.chunk.tokens, params_.batch);
        }
        if (picture && mtmd_decode_use_mrope(context_)) {
            const mtmd_image_tokens * plane = mtmd_input_chunk_get_tokens_image(chunk);
            for (int32_t k = 0; k < piece.chunk.tokens; k++) {
                const auto x =
                    static_cast<int32_t>(mtmd_image_tokens_get_decoder_pos(plane, 0, static_cast<size_t>(k)).x);
                piece.chunk.width = std::max(piece.chunk.width, x + 1);
            }
        }
        for (int32_t k = 0; k < piece.chunk.tokens; k++) {
            Fingerprint   hash;
            const int64_t place[2] = { static_cast<int64_t>(piece.chunk.index), k };
            hash.add(file.hash.data(), file.hash.size());
            hash.add(place, sizeof(place));
            piece.tokens.push_back(media_token::make(hash.value(), k + 1 == piece.chunk.tokens,
                                                     k >= piece.chunk.tokens - piece.chunk.positions));
        }
        layout->push_back(std::move(piece));
    }
    return layout;
}

bool MediaEncoder::has_vectors(const Media & file, size_t index) {
    std::lock_guard<std::mutex> lock(mutex_);
    return vectors_.find(name_of(file, index)) != nullptr;
}

MediaVectors MediaEncoder::vectors(const Media & file, size_t index, const std::function<bool()> & stop) {
    const std::string name = name_of(file, index);
    const auto        find = [&] {
        std::lock_guard<std::mutex> lock(mutex_);
        return vectors_.find(name);
    };
    if (auto known = find()) {
        return known;
    }
    const auto ready = pixels(file);
    auto       turn  = wait_for_turn(stop);
    if (auto known = find()) {  // encoded by the thread that this one has waited for
        return known;
    }
    MediaVectors made = encode(*ready, index, stop);
    turn.unlock();
    std::lock_guard<std::mutex> lock(mutex_);
    vectors_.put(name, made, made->size() * sizeof(float));
    return made;
}

// Holds encoding_.
MediaVectors MediaEncoder::encode(const Pixels & pixels, size_t index, const std::function<bool()> & stop) {
    const mtmd_input_chunk * chunk = pixels.chunk(index);
    if (!chunk) {
        fail(LUUP_ERROR_INTERNAL, "a picture has no chunk %zu", index);
    }
    LogCapture log;
    stop_        = &stop;
    stopped_     = false;
    const int rc = mtmd_encode_chunk(context_, chunk);
    stop_        = nullptr;
    if (stopped_) {
        check_interruption();
        fail(LUUP_ERROR_CANCELLED, "the run was cancelled");
    }
    if (rc != 0) {
        fail(speaks_of_memory(log.text()) ? LUUP_ERROR_OUT_OF_MEMORY : LUUP_ERROR_INFERENCE_FAILED,
             "a picture or sound can't be encoded: %s", log.text().c_str());
    }
    const float * first = mtmd_get_output_embd(context_);
    const size_t  size  = vector_size_ * mtmd_input_chunk_get_n_tokens(chunk);
    auto          made  = std::make_shared<const std::vector<float>>(first, first + size);
    if (!std::all_of(made->begin(), made->end(), [](float x) { return std::isfinite(x); })) {
        fail(LUUP_ERROR_INFERENCE_FAILED,
             "the encoder's result for a picture or sound is not a number: the projector (mmproj) may be damaged");
    }
    encoded_.fetch_add(1, std::memory_order_relaxed);
    return made;
}

}  // namespace luup
