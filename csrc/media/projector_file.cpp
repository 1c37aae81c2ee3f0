#include "media/projector_file.h"

#include "base/child_trial.h"
#include "base/error.h"

#include "gguf.h"
#include "mtmd.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string_view>

namespace luup {

namespace {

// Kinds whose tokens depend on more than the picture: on its place among the pictures, or in the prompt.
constexpr std::string_view unsupported_kinds[] = { "hunyuanvl", "deepseek4v" };

using ProjectorHeader = std::unique_ptr<gguf_context, void (*)(gguf_context *)>;

std::string text_value(const gguf_context * header, const char * key) {
    const int64_t at = gguf_find_key(header, key);
    return at >= 0 && gguf_get_kv_type(header, at) == GGUF_TYPE_STRING ? gguf_get_val_str(header, at) : "";
}

bool is_true(const gguf_context * header, const char * key) {
    const int64_t at = gguf_find_key(header, key);
    return at >= 0 && gguf_get_kv_type(header, at) == GGUF_TYPE_BOOL && gguf_get_val_bool(header, at);
}

// The limits of the trial of a header.
constexpr TrialLimits header_limits = { 60, size_t(4) << 30 };

// On the CPU: on a GPU, mtmd would allocate the weights to count them.
uint64_t count_bytes(const std::string & path) {
    static std::mutex           mutex;  // mtmd turns its log, which is global, off and on again
    std::lock_guard<std::mutex> lock(mutex);
    mtmd_context_params         p = mtmd_context_params_default();
    p.use_gpu                     = false;
    p.print_timings               = false;
    uint64_t bytes                = 0;
    for (const auto & [device, size] : mtmd_get_memory_usage(path.c_str(), p)) {
        bytes += size;
    }
    return bytes;
}

// Values of these keys are read without a check of their type.
void check_value_types(const gguf_context * header, const std::string & path) {
    for (int64_t i = 0; i < gguf_get_n_kv(header); i++) {
        const std::string_view key  = gguf_get_key(header, i);
        const gguf_type        type = gguf_get_kv_type(header, i);
        gguf_type              wanted;
        if (key == "general.name" || key == "general.description" || key == "general.architecture" ||
            (key.size() > 15 && key.substr(key.size() - 15) == ".projector_type")) {
            wanted = GGUF_TYPE_STRING;
        } else if (key.size() > 8 && key.substr(0, 9) == "clip.has_") {
            wanted = GGUF_TYPE_BOOL;
        } else {
            continue;
        }
        if (type != wanted) {
            fail(LUUP_ERROR_MODEL_LOAD_FAILED, "the projector %s is damaged: %s is not of the type %s", path.c_str(),
                 gguf_get_key(header, i), gguf_type_name(wanted));
        }
    }
}

}  // namespace

void check_projector(const std::string & path) {
    const ProjectorHeader header(gguf_init_from_file(path.c_str(), { true, nullptr }), gguf_free);
    if (!header) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED, "the projector %s can't be loaded: its header is damaged", path.c_str());
    }
    check_value_types(header.get(), path);
    const std::string architecture = text_value(header.get(), "general.architecture");
    if (!is_true(header.get(), "clip.has_vision_encoder") && !is_true(header.get(), "clip.has_audio_encoder")) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED,
             "%s is not a projector (its architecture is \"%.40s\"): mmproj takes the file of a model's encoder of "
             "pictures or sound, whose name often begins with \"mmproj\"",
             path.c_str(), architecture.c_str());
    }
    for (const char * key : { "clip.projector_type", "clip.vision.projector_type", "clip.audio.projector_type" }) {
        const std::string kind = text_value(header.get(), key);
        if (std::find(std::begin(unsupported_kinds), std::end(unsupported_kinds), kind) !=
            std::end(unsupported_kinds)) {
            fail(LUUP_ERROR_MODEL_LOAD_FAILED, "the projector %s is of the kind %s, which this library does not run",
                 path.c_str(), kind.c_str());
        }
    }
    uint64_t end = 0;
    for (int64_t i = 0; i < gguf_get_n_tensors(header.get()); i++) {
        end = std::max<uint64_t>(end, gguf_get_tensor_offset(header.get(), i) + gguf_get_tensor_size(header.get(), i));
    }
    std::error_code ec;
    const uint64_t  size = std::filesystem::file_size(std::filesystem::u8path(path), ec);
    if (ec || size < gguf_get_data_offset(header.get()) + end) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED, "the projector %s is incomplete: it has %llu bytes of %llu", path.c_str(),
             static_cast<unsigned long long>(ec ? 0 : size),
             static_cast<unsigned long long>(gguf_get_data_offset(header.get()) + end));
    }
}

uint64_t projector_memory(const std::string & path, bool tried) {
    check_projector(path);
    const std::string reason = tried ? "" : try_in_child([&] { count_bytes(path); }, header_limits);
    const uint64_t    bytes  = reason.empty() ? count_bytes(path) : 0;
    if (bytes == 0) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED, "the projector %s can't be loaded: %s", path.c_str(),
             reason.empty() ? "its header lacks values or tensors of its kind" : reason.c_str());
    }
    return bytes;
}

}  // namespace luup
