// The encoder of a model that sees or hears: a projector file, run by llama.cpp's mtmd.
#pragma once

#include "media/chunk.h"
#include "media/sized_cache.h"

#include "llama.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

struct mtmd_context;
struct mtmd_input_chunks;

namespace luup {

struct MediaEncoderParams {
    int32_t threads = 1;
    int32_t batch   = 512;  // the most tokens of a chunk that has to be decoded at once
    bool    use_gpu = false;
};

// All methods may be called from any thread. Threads take turns to encode.
class MediaEncoder {
  public:
    // Loads a projector. `model` must outlive the encoder. Throws Error(LUUP_ERROR_MODEL_LOAD_FAILED) if it is not one,
    // does not belong to the model, or is of a kind that this library can't run.
    MediaEncoder(const std::string & path, const llama_model * model, const MediaEncoderParams & params);
    ~MediaEncoder();
    MediaEncoder(const MediaEncoder &)             = delete;
    MediaEncoder & operator=(const MediaEncoder &) = delete;

    bool sees() const;
    bool hears() const;

    // Returns the text and the chunks that a file becomes in a prompt. Throws Error, and the Error of this thread's
    // interruption.
    std::shared_ptr<const MediaLayout> layout(const Media & file);

    // Returns whether vectors() would not have to encode.
    bool has_vectors(const Media & file, size_t index);

    // Returns the vectors of chunk `index` of a file. The computation ends soon after `stop` returns true, and throws
    // Error(LUUP_ERROR_CANCELLED), or that of this thread's interruption. Throws Error.
    MediaVectors vectors(const Media & file, size_t index, const std::function<bool()> & stop);

    // How many chunks were encoded.
    uint64_t encoded() const { return encoded_.load(std::memory_order_relaxed); }

  private:
    struct Pixels;  // a file's chunks, ready to be encoded

    std::shared_ptr<const Pixels>      pixels(const Media & file);
    std::shared_ptr<const Pixels>      prepare(const Media & file) const;
    void                               try_unusual(const Media & file);
    std::unique_lock<std::timed_mutex> wait_for_turn(const std::function<bool()> & stop);
    std::shared_ptr<MediaLayout>       lay_out(const MediaFile & file, const Pixels & pixels) const;
    MediaVectors                       encode(const Pixels & pixels, size_t index, const std::function<bool()> & stop);

    MediaEncoderParams params_;
    size_t             vector_size_ = 0;
    mtmd_context *     context_     = nullptr;

    std::timed_mutex              encoding_;  // of context_ while it computes, and of stop_ and stopped_
    const std::function<bool()> * stop_    = nullptr;
    bool                          stopped_ = false;
    uint32_t                      nodes_   = 0;

    std::mutex                     mutex_;  // of the caches; held for moments
    SizedCache<MediaLayout>        layouts_;
    SizedCache<Pixels>             pixels_;
    SizedCache<std::vector<float>> vectors_;
    std::atomic<uint64_t>          encoded_{ 0 };
};

// Tries a projector in a child process first, since llama.cpp asserts on some damaged ones: loads it, and encodes a
// small picture or sound. Throws Error(LUUP_ERROR_MODEL_LOAD_FAILED) with the reason if that fails.
void try_projector(const std::string & path, const llama_model * model, const MediaEncoderParams & params);

}  // namespace luup
