#include "model/load_params.h"

#include "base/error.h"
#include "device/backends.h"
#include "device/placement.h"
#include "model/cache_type.h"
#include "model/context_trial.h"
#include "model/gguf_file.h"
#include "model/header_trial.h"
#include "model/rope_scaling.h"

#include "llama-model.h"

#include <algorithm>
#include <cstring>

namespace luup {

namespace {

constexpr int32_t default_context_size = 8192;

// See default_sequences().
constexpr uint64_t states_size     = uint64_t(512) << 20;
constexpr uint64_t least_sequences = 8, most_sequences = 64;

// Rows of logits beyond one for each sequence, for drafted tokens.
constexpr uint32_t drafted_rows = 16;

void check_int(const char * name, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s must be between %lld and %lld, not %lld", name, static_cast<long long>(low),
             static_cast<long long>(high), static_cast<long long>(value));
    }
}

void check_params(const luup_model_params & p) {
    check_int("gpu_layers", p.gpu_layers, -1, INT32_MAX);
    if (p.context_size != LUUP_CONTEXT_SIZE_DEFAULT) {
        check_int("context_size", p.context_size, 256, 16 << 20);
    }
    check_int("batch_size", p.batch_size, 32, 4096);
    check_int("threads", p.threads, 0, 512);
    check_int("threads_batch", p.threads_batch, 0, 512);
    check_int("max_sequences", p.max_sequences, 0, 256);
    check_int("max_waiting", p.max_waiting, -1, INT32_MAX);
    check_int("cache_ram", p.cache_ram, 0, INT64_MAX);
    cache_types(p);
    rope_scaling(p);
    check_int("weights_cache_size", p.weights_cache_size, 0, INT64_MAX);
    check_int("keep_alive_ms", p.keep_alive_ms, -1, INT64_MAX);
}

// llama.cpp writes the states of a PLaMo-2 to the wrong place when a batch has several sequences.
bool takes_one_sequence(const llama_model * model) {
    char architecture[16] = {};
    llama_model_meta_val_str(model, "general.architecture", architecture, sizeof(architecture));
    return std::strcmp(architecture, "plamo2") == 0;
}

// Returns how many sequences a model gets unless the caller chooses. Recurrent layers have a state for each of them,
// which takes 50 MiB of a model with 4 billion parameters.
uint32_t default_sequences(const llama_model * model, uint32_t states) {
    const auto &   h      = model->hparams;
    const auto     layers = static_cast<uint32_t>(llama_model_n_layer(model));
    const uint64_t layer  = (static_cast<uint64_t>(h.n_embd_r()) + h.n_embd_s()) * sizeof(float) * states;
    uint64_t       state  = llama_model_is_recurrent(model) ? layers * layer : 0;
    for (uint32_t i = 0; i < layers && llama_model_is_hybrid(model); i++) {
        state += h.is_recr(i) ? layer : 0;
    }
    const uint64_t room = state == 0 ? most_sequences : states_size / state;
    return static_cast<uint32_t>(std::clamp<uint64_t>(room, least_sequences, most_sequences));
}

bool goes_back(const llama_model * model) {
    return (llama_model_is_recurrent(model) || llama_model_is_hybrid(model)) &&
           llm_arch_supports_rs_rollback(model->arch);
}

uint32_t sequences(const llama_model * model, const luup_model_params & params, uint32_t states) {
    if (takes_one_sequence(model)) {
        return 1;
    }
    return params.max_sequences > 0 ? static_cast<uint32_t>(params.max_sequences) : default_sequences(model, states);
}

}  // namespace

void check_load(const std::string & path, const luup_model_params & params, KnownFile & known,
                std::optional<enum llama_pooling_type> pooling) {
    check_params(params);
    check_file(path);
    load_backends();
    Placement{ params };
    check_header(path, known, pooling);
    check_context_settings(path, params);
}

llama_context_params context_params(const llama_model * model, const luup_model_params & params, bool guesses) {
    const CacheTypes  types   = cache_types(params);
    const RopeScaling scaling = rope_scaling(params);
    const int32_t     trained = llama_model_n_ctx_train(model);
    const float       usable =
        static_cast<float>(scaling.original_context > 0 ? scaling.original_context : trained) * scaling.factor;
    const int32_t automatic = usable >= 256 && usable < static_cast<float>(default_context_size)
                                  ? static_cast<int32_t>(usable)
                                  : default_context_size;

    llama_context_params c = llama_context_default_params();
    c.n_ctx = static_cast<uint32_t>(params.context_size == LUUP_CONTEXT_SIZE_DEFAULT ? automatic : params.context_size);
    c.n_batch         = static_cast<uint32_t>(params.batch_size);
    c.n_ubatch        = static_cast<uint32_t>(params.batch_size);
    c.n_rs_seq        = guesses && goes_back(model) ? recurrent_states : 0;
    c.n_seq_max       = sequences(model, params, 1 + c.n_rs_seq);
    c.n_outputs_max   = c.n_seq_max + drafted_rows;
    c.n_threads       = params.threads > 0 ? params.threads : usable_threads();
    c.n_threads_batch = params.threads_batch > 0 ? params.threads_batch : c.n_threads;
    c.kv_unified      = true;
    c.swa_full        = true;
    c.no_perf         = true;
    c.type_k          = types.keys;
    c.type_v          = types.values;
    scaling.apply(c);
    return c;
}

}  // namespace luup
