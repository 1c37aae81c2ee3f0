#include "model/model.h"

#include "base/error.h"

#include <atomic>

#if !defined(_WIN32)
#    include <pthread.h>
#endif

namespace luup {

namespace {

std::atomic<unsigned> generation{ 0 };

#if !defined(_WIN32)
const int fork_handler = pthread_atfork(nullptr, nullptr, [] { generation.fetch_add(1, std::memory_order_relaxed); });
#endif

}  // namespace

unsigned fork_generation() {
#if !defined(_WIN32)
    (void) fork_handler;  // keeps the linker from leaving it out
#endif
    return generation.load(std::memory_order_relaxed);
}

luup_model_info ModelInfo::view() const {
    luup_model_info info = numbers;
    info.path            = path.c_str();
    info.description     = description.c_str();
    info.architecture    = architecture.c_str();
    info.file_type       = file_type.c_str();
    info.backend         = backend.c_str();
    info.device          = device.c_str();
    info.cpu_variant     = cpu_variant.c_str();
    info.chat_template   = chat_template.c_str();
    info.cache_type_k    = cache_type_k.c_str();
    info.cache_type_v    = cache_type_v.c_str();
    info.rope_scaling    = rope_scaling.c_str();
    info.mtp             = mtp.c_str();
    info.sees            = sees;
    info.hears           = hears;
    return info;
}

ModelInfo Model::plain_info(const std::string & name, const char * kind) {
    ModelInfo info;
    info.description  = name;
    info.architecture = kind;
    info.backend      = kind;
    return info;
}

std::shared_ptr<const OutputFormat> Model::compile_output(const OutputSource & source) {
    return compiled_.output(source, nullptr);
}

KvState Model::conversation_state(uint64_t, const std::vector<AdapterScale> & adapters, const TokensOf &) {
    return { "", adapters, std::nullopt };
}

KvState Model::last_state(uint64_t, const std::vector<AdapterScale> & adapters, size_t, uint64_t) {
    return { "", adapters, std::nullopt };
}

std::string Model::adopt_state(uint64_t, KvState) {
    return "it was saved with another model, template, adapter or build";
}

void Model::check_process() const {
    if (forked()) {
        fail(LUUP_ERROR_FORKED, "the model %s was loaded before fork(); load it again in this process", name_.c_str());
    }
}

Model::UseLock Model::use() const {
    check_process();
    UseLock lock(mutex_);
    if (closed_) {
        fail(LUUP_ERROR_CLOSED, "the model %s is closed", name_.c_str());
    }
    return lock;
}

Model::LocalUse Model::use_local(const char * what) {
    auto         lock  = use();
    LocalModel * model = local();
    if (!model) {
        fail(LUUP_ERROR_UNSUPPORTED, "%s needs a local model, and %s is a %s one", what, name_.c_str(),
             info_.architecture.c_str());
    }
    return { std::move(lock), *model };
}

Model::LocalUse Model::use_weights(const char * what) {
    auto local = use_local(what);
    candidate(0).load();
    return local;
}

std::unique_lock<std::shared_mutex> Model::alone() {
    check_process();
    std::unique_lock<std::shared_mutex> lock(mutex_);
    if (closed_) {
        fail(LUUP_ERROR_CLOSED, "the model %s is closed", name_.c_str());
    }
    return lock;
}

void Model::close() {
    check_process();
    closing_ = true;
    std::unique_lock<std::shared_mutex> lock(mutex_);
    if (!closed_) {
        closed_ = true;
        shut_down(lock);
    }
}

}  // namespace luup
