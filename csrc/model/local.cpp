#include "model/local.h"

#include "base/read_file.h"
#include "model/local_turn.h"
#include "model/weights.h"

#include <chrono>

namespace luup {

// Returns the set of these adapters if the model has them all.
static std::optional<AdapterSet> find_adapters(Adapters & adapters, const std::vector<AdapterScale> & wanted) {
    try {
        return adapters.find(wanted);
    } catch (const Error &) {
        return std::nullopt;
    }
}

LocalModel::LocalModel(const std::string & path, const luup_model_params & params) : SingleModel(path, ModelInfo()) {
    const auto begin  = Clock::now();
    auto       loaded = std::make_unique<LoadedModel>(path, params);
    params_           = std::make_unique<const KeptParams>(params);
    path_             = absolute_path(path);
    context_key_      = loaded->context_key();
    files_key_        = loaded->files_key();
    describe(*loaded, params);
    info_.numbers.load_seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    residency_ =
        std::make_unique<Residency>(Residency::Owner{ name(), [this] { return load_again(); },
                                                      [this] { return try_alone(); }, [this] { return closing(); } },
                                    std::move(loaded), params.keep_alive_ms);
}

LocalModel::~LocalModel() {
    if (!forked()) {
        close();
        return;
    }
    // The model's threads are not in this process, and they may have held any lock at the fork: free nothing that they
    // used.
    residency_.release();
}

void LocalModel::describe(const LoadedModel & loaded, const luup_model_params & params) {
    info_               = loaded.description();
    info_.chat_template = loaded.chat().source();

    const MemoryUse   memory = loaded.engine().memory();
    luup_model_info & n      = info_.numbers;
    info_.sees               = loaded.encoder() && loaded.encoder()->sees();
    info_.hears              = loaded.encoder() && loaded.encoder()->hears();
    n.memory_weights         = memory.weights + loaded.engine().adapters().bytes();
    n.memory_projector       = loaded.projector_memory();
    n.memory_draft           = loaded.engine().draft_memory().total();
    n.weights_found          = loaded.stored().found;
    n.weights_made           = loaded.stored().made;
    n.memory_context         = memory.context;
    n.memory_compute         = memory.compute;
    n.context_size           = loaded.engine().context_size();
    n.batch_size             = params.batch_size;
    n.max_sequences          = loaded.engine().max_sequences();
    n.threads                = loaded.threads();
    n.threads_batch          = loaded.threads_batch();

    const RopeScaling & scaling = loaded.rope_scaling();
    info_.mtp                   = loaded.mtp();
    info_.cache_type_k          = ggml_type_name(loaded.cache_types().keys);
    info_.cache_type_v          = ggml_type_name(loaded.cache_types().values);
    info_.rope_scaling          = scaling.type_name();
    n.rope_factor               = scaling.factor;
    n.rope_original_context     = scaling.original_context;
}

// Loads the weights of the same file. Throws Error, with LUUP_ERROR_MODEL_LOAD_FAILED if it is another file now.
std::unique_ptr<LoadedModel> LocalModel::load_again() const {
    try {
        check_same_files(files_key(path_));
        luup_model_params params = params_->view();
        params.user_data         = const_cast<LocalModel *>(this);
        params.progress          = [](float, void * self) { return !static_cast<LocalModel *>(self)->closing(); };
        auto loaded              = std::make_unique<LoadedModel>(path_, params);
        check_same_files(loaded->files_key());
        return loaded;
    } catch (...) {
        const Failure failure = current_failure();
        if (closing()) {
            fail(LUUP_ERROR_CLOSED, "the model %s is closed", name().c_str());
        }
        const bool missing = failure.code == LUUP_ERROR_MODEL_NOT_FOUND;
        fail(missing ? LUUP_ERROR_MODEL_LOAD_FAILED : failure.code,
             "the model %s was unloaded, and can't be loaded again: %s", name().c_str(), failure.message.c_str());
    }
}

void LocalModel::check_same_files(const std::string & key) const {
    if (key != files_key_) {
        fail(LUUP_ERROR_MODEL_LOAD_FAILED,
             "%s has changed since it was loaded; put the old file back, or load the new one as another model",
             path_.c_str());
    }
}

void LocalModel::unload() {
    check_process();
    residency_->check_no_holds();  // threads that wait for a load keep use() until its end
    residency_->unload(alone());
}

void LocalModel::shut_down(std::unique_lock<std::shared_mutex> &) {
    residency_->close();
}

void LocalModel::interrupt() {
    residency_->peek([](LoadedModel & loaded) { loaded.engine().interrupt(); });
}

void LocalModel::disown(uint64_t owner) {
    residency_->peek([owner](LoadedModel & loaded) { loaded.engine().disown(owner); });
}

// Returns `state` with what depends on the set of its adapters; `keep` returns the sequence.
template <typename Keep> static KvState complete(KvState state, Engine & engine, uint64_t owner, Keep keep) {
    Adapters &       known = engine.adapters();
    const AdapterSet set   = find_adapters(known, state.adapters).value_or(0);
    state.key += known.key(set);
    state.sequence = keep(SequenceKey{ owner, set });
    return state;
}

KvState LocalModel::conversation_state(uint64_t owner, const std::vector<AdapterScale> & adapters,
                                       const TokensOf & tokens) {
    KvState    state{ context_key_, adapters, {} };
    const auto conversation = ready() ? tokens(chat()) : std::vector<llama_token>();
    if (conversation.empty()) {
        return state;
    }
    return complete(std::move(state), engine(), owner,
                    [&](const SequenceKey & key) { return engine().snapshot(key, conversation); });
}

KvState LocalModel::last_state(uint64_t owner, const std::vector<AdapterScale> & adapters, size_t least,
                               uint64_t most) {
    KvState state{ context_key_, adapters, {} };
    if (!ready()) {
        return state;
    }
    return complete(std::move(state), engine(), owner,
                    [&](const SequenceKey & key) { return engine().last(key, least, most); });
}

std::string LocalModel::adopt_state(uint64_t owner, KvState state) {
    if (state.key.rfind(context_key_, 0) == 0) {
        load();
        Adapters & known = engine().adapters();
        const auto set   = find_adapters(known, state.adapters);
        if (set && state.key == context_key_ + known.key(*set)) {
            state.sequence->key = { owner, *set };
            return engine().adopt(std::move(*state.sequence)) ? "" : "there is no room for it in cache_ram";
        }
    }
    return Model::adopt_state(owner, std::move(state));
}

LoadedModel & LocalModel::weights() const {
    LoadedModel * loaded = residency_->get();
    if (!loaded) {
        fail(LUUP_ERROR_INTERNAL, "the weights of %s are used without being loaded", name().c_str());
    }
    return *loaded;
}

std::shared_ptr<const OutputFormat> LocalModel::compile_output(const OutputSource & source) {
    if (const LoadedModel * loaded = residency_->get()) {
        return compiled_.output(source, loaded->vocab());
    }
    try {
        return compiled_.output(source, nullptr);
    } catch (const Error &) {
        if (source.kind != OutputSource::Kind::Grammar) {
            throw;
        }
    }
    residency_->load();  // the grammar is wrong, or has tokens in it
    return compiled_.output(source, vocab());
}

void LocalModel::check(Sampling sampling) const {
    const bool plain = sampling.logit_bias.empty() && sampling.adapters.empty();
    if (const LoadedModel * loaded = plain ? nullptr : residency_->get()) {
        loaded->engine().adapters().find(sampling.adapters);
        resolve_logit_bias(sampling.logit_bias, loaded->vocab(),
                           [&](std::string_view text) { return loaded->vocabulary()->find(text); });
    }
}

std::shared_ptr<ModelTurn> LocalModel::prepare(TurnRequest request) {
    const LoadedModel * loaded = &weights();
    return std::make_shared<LocalTurn>(LocalParts{ loaded->chat(), loaded->engine(), loaded->vocab(), compiled_,
                                                   [loaded] { return loaded->vocabulary(); }, loaded->encoder() },
                                       std::move(request));
}

size_t LocalModel::count_tokens(const std::string & text) const {
    return tokenize_text(vocab(), text, false, false).size();
}

std::optional<size_t> LocalModel::prompt_size(const std::vector<Message> & messages, const ToolSet & tools,
                                              const Reasoning & reasoning) const {
    return chat().render(messages, tools.empty() ? nullptr : &tools, true, nullptr, reasoning).tokens.size();
}

}  // namespace luup
