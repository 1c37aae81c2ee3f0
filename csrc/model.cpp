#include "model.h"

#include "backends.h"
#include "error.h"
#include "fingerprint.h"
#include "log.h"
#include "remote.h"
#include "trial.h"

#include "llama-ext.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>

#if !defined(_WIN32)
#    include <pthread.h>
#endif

namespace fs = std::filesystem;

namespace luup {

namespace {

constexpr int32_t default_context_size = 8192;

// Rows of logits beyond one for each sequence, for drafted tokens.
constexpr uint32_t drafted_rows = 16;

std::atomic<unsigned> generation{ 0 };

#if !defined(_WIN32)
const int fork_handler = pthread_atfork(nullptr, nullptr, [] { generation.fetch_add(1, std::memory_order_relaxed); });
#endif

// What can be told of a file before llama.cpp reads it, in words that name it.
void check_file(const std::string & path) {
    const fs::path  p = fs::u8path(path);
    std::error_code ec;
    const auto      status = fs::status(p, ec);
    if (!fs::exists(status)) {
        fail(LUUP_ERROR_MODEL_NOT_FOUND, "there is no file %s", path.c_str());
    }
    if (fs::is_directory(status)) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED, "%s is a directory, not a GGUF file", path.c_str());
    }
    if (!fs::is_regular_file(status)) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED, "%s is not a regular file", path.c_str());
    }
    std::ifstream       file(p, std::ios::binary);
    std::array<char, 4> magic = {};
    if (!file) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED, "%s can't be read", path.c_str());
    }
    if (!file.read(magic.data(), magic.size())) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED, "%s is too short for a GGUF file (%zu bytes)", path.c_str(), static_cast<size_t>(file.gcount()));
    }
    if (std::memcmp(magic.data(), "GGUF", magic.size()) != 0) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED, "%s is not a GGUF file: it does not begin with the letters GGUF", path.c_str());
    }
}

// llama.cpp asserts on some damaged headers, and an assertion ends the process: everything but the weights is read once in a child.
void check_header(const std::string & path) {
    const auto trial = [&] {
        ggml_backend_dev_t devices[] = { nullptr };
        llama_model_params p         = llama_model_default_params();
        p.devices                    = devices;
        p.n_gpu_layers               = 0;
        p.no_alloc                   = true;
        p.load_mode                  = LLAMA_LOAD_MODE_NONE;
        // What fails without ending the process fails again outside, where its log is read.
        llama_model_load_from_file(path.c_str(), p);
    };
    const std::string reason = try_in_child(trial, { 60, size_t(4) << 30 });
    if (!reason.empty()) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED, "%s can't be loaded: its header is damaged (%s)", path.c_str(), reason.c_str());
    }
}

void check_int(const char * name, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s must be between %lld and %lld, not %lld", name, static_cast<long long>(low), static_cast<long long>(high),
             static_cast<long long>(value));
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
    check_int("max_sequences", p.max_sequences, 1, 256);
    check_int("max_waiting", p.max_waiting, -1, INT32_MAX);
    check_int("cache_ram", p.cache_ram, 0, INT64_MAX);
}

std::string text_key(const std::string & text) {
    Fingerprint f;
    f.add(text.data(), text.size());
    return std::to_string(f.value());
}

// Tells files apart without reading gigabytes: by the size, the beginning (all of the metadata, mostly) and the end.
std::string file_key(const std::string & path) {
    constexpr std::streamoff part = 4 << 20;
    std::ifstream            file(fs::u8path(path), std::ios::binary | std::ios::ate);
    const std::streamoff     size = file.tellg();
    std::string              bytes(static_cast<size_t>(std::min(size, 2 * part)), '\0');
    const std::streamoff     head = std::min(size, part);
    file.seekg(0);
    file.read(&bytes[0], head);
    file.seekg(size - static_cast<std::streamoff>(bytes.size()) + head);
    file.read(&bytes[static_cast<size_t>(head)], static_cast<std::streamsize>(bytes.size()) - head);
    return std::to_string(size) + " " + text_key(bytes);
}

// The name of a GGUF file type, as llama.cpp's descriptions end: "llama 135M Q4_1" gives "Q4_1".
std::string file_type_name(llama_ftype type, const std::string & description, const std::string & architecture) {
    std::string rest = description;
    if (rest.rfind(architecture + " ", 0) == 0) {
        rest.erase(0, architecture.size() + 1);
    }
    const size_t space = rest.find(' ');
    return space == std::string::npos ? "type " + std::to_string(type) : rest.substr(space + 1);
}

}  // namespace

unsigned fork_generation() {
#if !defined(_WIN32)
    (void) fork_handler;
#endif
    return generation.load(std::memory_order_relaxed);
}

uint64_t available_memory() {
    std::ifstream file("/proc/meminfo");
    std::string   name;
    for (uint64_t kilobytes; file >> name >> kilobytes; file.ignore(16, '\n')) {
        if (name == "MemAvailable:") {
            return kilobytes * 1024;
        }
    }
    return 0;
}

void check_load(const std::string & path, const luup_model_params & params) {
    check_params(params);
    check_file(path);
    load_backends();
    Placement{ params };
    check_header(path);
}

llama_context_params context_params(const llama_model * model, const luup_model_params & params) {
    const int32_t trained   = llama_model_n_ctx_train(model);
    const int32_t automatic = trained >= 256 ? std::min(trained, default_context_size) : default_context_size;

    llama_context_params c = llama_context_default_params();
    c.n_ctx                = static_cast<uint32_t>(params.context_size == LUUP_CONTEXT_SIZE_DEFAULT ? automatic : params.context_size);
    c.n_batch              = static_cast<uint32_t>(params.batch_size);
    c.n_ubatch             = static_cast<uint32_t>(params.batch_size);
    c.n_seq_max            = static_cast<uint32_t>(params.max_sequences);
    c.n_outputs_max        = static_cast<uint32_t>(params.max_sequences) + drafted_rows;
    c.n_threads            = params.threads > 0 ? params.threads : usable_threads();
    c.n_threads_batch      = params.threads_batch > 0 ? params.threads_batch : c.n_threads;
    c.kv_unified           = true;
    c.swa_full             = true;
    c.no_perf              = true;
    return c;
}

std::shared_ptr<Model> Model::load(const std::string & path, const luup_model_params & params) {
    return std::shared_ptr<Model>(new Model(path, params));
}

Model::Model(const std::string & path, const luup_model_params & params) : path_(path) {
    const auto begin = Clock::now();
    check_load(path, params);
    cpu_variant_ = load_backends().name;
    Placement placement(params);
    servers_ = placement.take_servers();
    try {
        load_weights(params, placement);
        check_can_generate();
        chat_ = std::make_unique<ChatTemplate>(model_, params.chat_template ? params.chat_template : "");
        make_engine(params);
    } catch (...) {
        chat_.reset();
        llama_model_free(model_);
        throw;
    }
    describe(params);
    context_key_ += " " + text_key(template_);
    info_.load_seconds = std::chrono::duration<double>(Clock::now() - begin).count();
}

// A model without a file.
Model::Model(const std::string & name, const std::string & kind) : path_(name), description_(name), architecture_(kind), backend_(kind) {
    for (const char ** text : { &info_.path, &info_.file_type, &info_.device, &info_.cpu_variant, &info_.chat_template }) {
        *text = "";
    }
    info_.description  = description_.c_str();
    info_.architecture = architecture_.c_str();
    info_.backend      = backend_.c_str();
}

std::shared_ptr<Model> Model::remote(std::unique_ptr<Remote> remote) {
    auto model     = std::shared_ptr<Model>(new Model(remote->name(), "remote"));
    model->remote_ = std::move(remote);
    return model;
}

std::shared_ptr<Model> Model::fallback(std::vector<std::shared_ptr<Model>> models) {
    std::string name;
    for (size_t i = 0; i < models.size(); i++) {
        models[i]->check_process();
        if (!models[i]->alternatives().empty()) {
            fail(LUUP_ERROR_INVALID_PARAM, "models[%zu] is a fallback itself", i);
        }
        name += (i > 0 ? ", " : "") + models[i]->name();
    }
    auto model           = std::shared_ptr<Model>(new Model(name, "fallback"));
    model->alternatives_ = std::move(models);
    return model;
}

std::vector<Model *> Model::locals() {
    std::vector<Model *> found;
    for (const auto & model : alternatives_) {
        if (model->engine_) {
            found.push_back(model.get());
        }
    }
    if (engine_) {
        found.push_back(this);
    }
    return found;
}

Model::~Model() {
    if (forked()) {
        // The engine's thread is not in this process: nothing of it can be ended or freed here.
        engine_.release();
        chat_.release();
        remote_.release();
        servers_.release();
        return;
    }
    close();
}

void Model::load_weights(const luup_model_params & params, Placement & placement) {
    struct Progress {
        luup_load_progress callback;
        void *             user_data;
        bool               stopped;
    } progress = { params.progress, params.user_data, false };

    llama_model_params p = placement.model_params();
    p.load_mode          = params.use_mmap ? (params.use_mlock ? LLAMA_LOAD_MODE_MMAP_MLOCK : LLAMA_LOAD_MODE_MMAP)
                                           : (params.use_mlock ? LLAMA_LOAD_MODE_MLOCK : LLAMA_LOAD_MODE_NONE);
    if (progress.callback) {
        p.progress_callback_user_data = &progress;
        p.progress_callback           = [](float done, void * data) {
            auto * self   = static_cast<Progress *>(data);
            self->stopped = self->stopped || !self->callback(done, self->user_data);
            return !self->stopped;
        };
    }
    LogCapture log;
    try {
        model_ = llama_model_load_from_file(path_.c_str(), p);
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception & e) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED, "%s can't be loaded: %s", path_.c_str(), e.what());
    }
    if (progress.stopped) {
        llama_model_free(model_);
        model_ = nullptr;
        fail(LUUP_ERROR_CANCELLED, "loading %s was cancelled", path_.c_str());
    }
    if (!model_) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED, "%s can't be loaded: %s", path_.c_str(), log.text().empty() ? "the file is damaged" : log.text().c_str());
    }
    vocab_        = llama_model_get_vocab(model_);
    architecture_ = meta("general.architecture");
}

// Models that llama.cpp loads, and then asserts on when they are asked for text.
void Model::check_can_generate() const {
    const char * why = nullptr;
    if (llama_vocab_type(vocab_) == LLAMA_VOCAB_TYPE_NONE || llama_vocab_n_tokens(vocab_) == 0) {
        why = "it has no vocabulary";
    } else if (llama_model_has_encoder(model_) || !llama_model_has_decoder(model_)) {
        why = "it has an encoder, which this library does not run";
    } else if (meta(architecture_ + ".attention.causal") == "false") {
        why = "its attention is not causal: it is made for embeddings";
    } else if (const std::string pooling = meta(architecture_ + ".pooling_type"); !pooling.empty() && pooling != "0") {
        why = "it is made for embeddings (it pools its outputs)";
    } else if (llama_model_is_diffusion(model_)) {
        why = "it is a diffusion model";
    } else if (llama_model_n_cls_out(model_) > 1 && llama_model_cls_label(model_, 0)) {
        why = "it is a classifier";
    }
    if (why) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED, "%s (architecture %s) can't generate text: %s", path_.c_str(), architecture_.c_str(), why);
    }
}

void Model::make_engine(const luup_model_params & params) {
    EngineParams p;
    p.context       = context_params(model_, params);
    p.threads       = p.context.n_threads;
    p.threads_batch = p.context.n_threads_batch;
    p.cache_ram     = static_cast<uint64_t>(params.cache_ram);
    p.max_waiting   = params.max_waiting;
    p.servers       = servers_.get();
    check_context_memory(p.context.n_ctx);
    context_key_ = file_key(path_) + " " + std::to_string(llama_model_n_params(model_)) + " " LUUP_LLAMA_COMMIT;
    if (params.prefix_cache) {
        p.prefixes = std::make_shared<PrefixCache>(params.prefix_cache, context_key_);
    }
    engine_ = std::make_unique<Engine>(model_, p);

    info_.threads       = p.threads;
    info_.threads_batch = p.threads_batch;
}

// Linux promises memory that it does not have, and kills the process that then uses it: a KV cache larger than what is there is refused.
void Model::check_context_memory(uint32_t n_ctx) const {
    const std::string key       = meta(architecture_ + ".attention.key_length");
    const int32_t     heads     = std::max(1, llama_model_n_head(model_));
    const uint64_t    head_size = key.empty() ? llama_model_n_embd(model_) / heads : std::strtoull(key.c_str(), nullptr, 10);
    const uint64_t    bytes     = 2 * sizeof(ggml_fp16_t) * head_size * llama_model_n_head_kv(model_) * llama_model_n_layer(model_) * n_ctx;
    const uint64_t    available = available_memory();
    if (available > 0 && bytes > available && llama_model_n_devices(model_) == 0 && !llama_model_is_recurrent(model_) && !llama_model_is_hybrid(model_)) {
        fail(LUUP_ERROR_OUT_OF_MEMORY, "a context of %u tokens needs %llu MB for its KV cache; the machine has %llu MB left", n_ctx,
             static_cast<unsigned long long>(bytes >> 20), static_cast<unsigned long long>(available >> 20));
    }
}

std::string Model::meta(const std::string & key) const {
    std::array<char, 512> buffer = {};
    const int32_t         n      = llama_model_meta_val_str(model_, key.c_str(), buffer.data(), buffer.size());
    return n < 0 ? "" : std::string(buffer.data());
}

void Model::describe(const luup_model_params & params) {
    std::array<char, 256> buffer = {};
    llama_model_desc(model_, buffer.data(), buffer.size());
    description_ = buffer.data();
    file_type_   = file_type_name(llama_model_ftype(model_), description_, architecture_);
    template_    = chat_->source();

    const int32_t            layers = llama_model_n_layer(model_);
    const int32_t            gpus   = llama_model_n_devices(model_);
    const bool               on_gpu = gpus > 0;
    const ggml_backend_dev_t device = on_gpu ? llama_model_get_device(model_, 0) : cpu_device();
    backend_                        = ggml_backend_reg_name(ggml_backend_dev_backend_reg(device));
    device_                         = ggml_backend_dev_description(device);
    for (int32_t i = 1; i < gpus; i++) {
        device_ += std::string(", ") + ggml_backend_dev_description(llama_model_get_device(model_, i));
    }

    const MemoryUse memory      = engine_->memory();
    info_.memory_weights        = memory.weights;
    info_.memory_context        = memory.context;
    info_.memory_compute        = memory.compute;
    info_.path                  = path_.c_str();
    info_.description           = description_.c_str();
    info_.architecture          = architecture_.c_str();
    info_.file_type             = file_type_.c_str();
    info_.backend               = backend_.c_str();
    info_.device                = device_.c_str();
    info_.cpu_variant           = cpu_variant_.c_str();
    info_.chat_template         = template_.c_str();
    info_.parameters            = llama_model_n_params(model_);
    info_.context_size          = engine_->context_size();
    info_.training_context_size = llama_model_n_ctx_train(model_);
    info_.vocabulary_size       = llama_vocab_n_tokens(vocab_);
    info_.embedding_size        = llama_model_n_embd(model_);
    info_.layers                = layers;
    info_.gpu_layers            = !on_gpu ? 0 : params.gpu_layers < 0 ? layers
                                                                      : std::min(params.gpu_layers, layers);
    info_.batch_size            = params.batch_size;
    info_.max_sequences         = params.max_sequences;
}

void Model::check_process() const {
    if (forked()) {
        fail(LUUP_ERROR_FORKED, "the model %s was loaded before fork(); load it again in this process", path_.c_str());
    }
}

std::shared_lock<std::shared_mutex> Model::use() const {
    check_process();
    std::shared_lock<std::shared_mutex> lock(mutex_);
    if (closed_) {
        fail(LUUP_ERROR_CLOSED, "the model %s is closed", path_.c_str());
    }
    return lock;
}

std::shared_lock<std::shared_mutex> Model::use_local(const char * what) const {
    auto lock = use();
    if (!engine_) {
        fail(LUUP_ERROR_UNSUPPORTED, "%s needs a local model, and %s is a %s one", what, path_.c_str(), info_.architecture);
    }
    return lock;
}

void Model::close() {
    check_process();
    std::unique_lock<std::shared_mutex> lock(mutex_);
    if (closed_) {
        return;
    }
    closed_ = true;
    if (!engine_) {
        lock.unlock();  // what ends a run of it may begin a turn
        if (remote_) {
            remote_->close();
        }
        return;
    }
    engine_->close();
    chat_.reset();
    llama_model_free(model_);
    model_ = nullptr;
    vocab_ = nullptr;
    servers_.reset();
}

std::shared_ptr<const Vocabulary> Model::vocabulary() const {
    std::call_once(vocabulary_made_, [&] { vocabulary_ = std::make_shared<const Vocabulary>(vocab_); });
    return vocabulary_;
}

}  // namespace luup
