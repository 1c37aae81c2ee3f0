#include "embed/embedder.h"

#include "base/error.h"
#include "device/backends.h"
#include "device/placement.h"
#include "embed/pooling.h"
#include "model/description.h"
#include "model/load_params.h"
#include "model/weights.h"

#include "llama-model.h"

#include <algorithm>
#include <chrono>

namespace luup {

namespace {

constexpr int32_t default_limit = 2048;  // the memory to compute with grows with the longest text
constexpr int32_t most_texts    = 64;    // in a batch

void check_range(const char * name, int32_t value, int32_t low, int32_t high) {
    if (value < low || value > high) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s must be between %d and %d, not %d", name, low, high, value);
    }
}

// The same settings for the parts that load a model of any kind.
luup_model_params load_params(const luup_embedder_params & params) {
    luup_model_params p = {};
    p.size              = sizeof(p);
    p.gpu_layers        = params.gpu_layers;
    p.context_size      = LUUP_CONTEXT_SIZE_DEFAULT;
    p.batch_size        = 512;
    p.threads           = params.threads;
    p.max_sequences     = 1;
    p.use_mmap          = params.use_mmap;
    p.use_mlock         = params.use_mlock;
    p.progress          = params.progress;
    p.user_data         = params.user_data;
    p.devices           = params.devices;
    p.n_devices         = params.n_devices;
    p.split_mode        = LUUP_SPLIT_LAYER;
    p.rope_factor       = 1;
    p.weights_cache     = params.weights_cache;

    p.weights_cache_size = params.weights_cache_size;
    return p;
}

// Returns the tokens of the longest text.
int32_t longest_text(const llama_model * model, const luup_embedder_params & params) {
    const int32_t trained = llama_model_n_ctx_train(model);
    if (params.context_size == LUUP_CONTEXT_SIZE_DEFAULT) {
        return trained > 0 ? std::min(trained, default_limit) : default_limit;
    }
    if (trained > 0 && params.context_size > trained) {
        fail(LUUP_ERROR_INVALID_PARAM, "context_size must be at most %d, for which the model was trained, not %d",
             trained, params.context_size);
    }
    return params.context_size;
}

}  // namespace

Embedder::Embedder(const std::string & path, const luup_embedder_params & params) : path_(path) {
    const auto begin = std::chrono::steady_clock::now();
    check_range("batch_size", params.batch_size, 32, 16384);
    if (params.context_size != LUUP_CONTEXT_SIZE_DEFAULT) {
        check_range("context_size", params.context_size, 8, 65536);
    }
    const luup_model_params       loading = load_params(params);
    const enum llama_pooling_type wanted  = checked_pooling(params.pooling);
    KeptWeights                   kept(path, loading);
    check_load(path, loading, kept.known, wanted);
    Placement placement(loading);
    files_   = std::make_unique<MappedFiles>(params.use_mmap ? model_files(path) : std::vector<std::string>());
    model_   = load_weights(path, loading, placement, *files_, kept);
    pooling_ = choose_pooling(model_.get(), path, wanted);
    limit_   = std::make_unique<TokenLimit>(llama_model_get_vocab(model_.get()), longest_text(model_.get(), params));
    if (pooling_ == LLAMA_POOLING_TYPE_RANK) {
        rank_prompt_ = std::make_unique<RankPrompt>(model_.get(), *limit_);
    }
    make_context(params);
    describe_model(model_.get(), path, params.gpu_layers, info_);

    const MemoryUse   memory = context_->memory();
    luup_model_info & n      = info_.numbers;
    n.memory_weights         = memory.weights;
    n.memory_context         = memory.context;
    n.memory_compute         = memory.compute;
    n.context_size           = limit_->limit();
    n.embedding_size         = llama_model_n_embd_out(model_.get());
    n.batch_size             = batch_size_;
    n.load_seconds           = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

Embedder::~Embedder() {
    if (!forked()) {
        close();
        return;
    }
    // Threads of the parent may have held any lock at the fork: free nothing that they used.
    context_.release();
    model_.release();
    files_.release();
}

void Embedder::make_context(const luup_embedder_params & params) {
    const llama_model * model = model_.get();
    // llama.cpp reads the scores of several texts at once from weights of the form "one row a score" only.
    const bool    headless = pooling_ == LLAMA_POOLING_TYPE_RANK && !has_score_head(model);
    const bool    stateful = llama_model_is_recurrent(model) || llama_model_is_hybrid(model);
    const int32_t threads  = params.threads > 0 ? params.threads : usable_threads();
    batch_size_            = params.batch_size;
    at_once_               = stateful || headless ? 1 : most_texts;

    // A text is computed in one step, because its pooling needs all its tokens.
    llama_context_params c = llama_context_default_params();
    c.n_ctx = c.n_batch = c.n_ubatch = static_cast<uint32_t>(std::max({ batch_size_, limit_->limit(), 256 }));
    c.n_seq_max                      = static_cast<uint32_t>(at_once_);
    c.n_threads = c.n_threads_batch = threads;
    c.embeddings                    = true;
    c.pooling_type                  = pooling_;
    c.kv_unified                    = true;
    c.swa_full                      = true;
    c.no_perf                       = true;
    c.abort_callback                = &Embedder::on_abort;
    c.abort_callback_data           = this;
    if (model->hparams.causal_attn) {
        check_context_memory(model, c);
    }
    context_ = std::make_unique<Context>(model_.get(), c, threads, threads);

    info_.numbers.threads = info_.numbers.threads_batch = threads;
    info_.numbers.max_sequences                         = at_once_;
}

luup_embedder_info Embedder::info() const {
    const luup_model_info general = info_.view();
    luup_embedder_info    info    = {};
    info.path                     = general.path;
    info.description              = general.description;
    info.architecture             = general.architecture;
    info.file_type                = general.file_type;
    info.backend                  = general.backend;
    info.device                   = general.device;
    info.cpu_variant              = general.cpu_variant;
    info.parameters               = general.parameters;
    info.memory_weights           = general.memory_weights;
    info.memory_context           = general.memory_context;
    info.memory_compute           = general.memory_compute;
    info.pooling                  = static_cast<luup_pooling>(pooling_);
    info.dimensions               = general.embedding_size;
    info.context_size             = general.context_size;
    info.training_context_size    = general.training_context_size;
    info.vocabulary_size          = general.vocabulary_size;
    info.layers                   = general.layers;
    info.gpu_layers               = general.gpu_layers;
    info.threads                  = general.threads;
    info.batch_size               = general.batch_size;
    info.load_seconds             = general.load_seconds;
    return info;
}

void Embedder::check_process() const {
    if (forked()) {
        fail(LUUP_ERROR_FORKED, "the model %s was loaded before fork(); load it again in this process", path_.c_str());
    }
}

void Embedder::begin() const {
    check_process();
    if (closing_) {
        fail(LUUP_ERROR_CLOSED, "the model %s is closed", path_.c_str());
    }
    if (lock_.mine()) {
        fail(LUUP_ERROR_BUSY, "the model %s can't be used by the progress function of its own call", path_.c_str());
    }
}

void Embedder::close() {
    check_process();
    closing_ = true;
    if (lock_.mine()) {
        return;  // called by a progress function: its call ends now, and frees the memory
    }
    const FairLock::Hold hold(lock_, [] {});
    context_.reset();
    rank_prompt_.reset();
    limit_.reset();
    model_.reset();
    files_.reset();
}

bool Embedder::on_abort(void * self) {
    Call * call = static_cast<Embedder *>(self)->current_;
    return call && call->stopped();
}

}  // namespace luup
