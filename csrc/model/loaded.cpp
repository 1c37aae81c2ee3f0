#include "model/loaded.h"

#include "media/projector_file.h"
#include "model/adapter_file.h"
#include "model/description.h"
#include "model/gguf_file.h"
#include "model/load_params.h"
#include "model/mtp.h"
#include "model/weights.h"

namespace luup {

LoadedModel::LoadedModel(const std::string & path, const luup_model_params & params) {
    KeptWeights kept(path, params);
    check_load(path, params, kept.known);
    mtp_     = check_mtp(path, kept.known);
    mtp_     = mtp_ != mtp_used || (params.use_mtp && !params.draft) ? mtp_
               : params.draft                                        ? "a draft model is used"
                                                                     : "they are switched off";
    kept.mtp = mtp_ == mtp_used;
    Placement placement(params);
    servers_ = placement.take_servers();
    files_   = std::make_unique<MappedFiles>(params.use_mmap ? model_files(path) : std::vector<std::string>());
    model_   = load_weights(path, params, placement, *files_, kept);
    stored_  = kept.sizes;
    vocab_   = llama_model_get_vocab(model_.get());
    check_can_generate(model_.get(), path);
    chat_ = std::make_unique<ChatTemplate>(model_.get(), params.chat_template ? params.chat_template : "");
    describe_model(model_.get(), path, params.gpu_layers, description_);
    if (params.draft) {
        draft_ = load_draft(model_.get(), path, params);
    }
    adapters_ = std::make_shared<Adapters>(load_adapters(model_.get(), params));
    load_encoder(params);
    make_engine(path, params);
    context_key_ += " " + text_key(chat_->source());
}

void LoadedModel::load_encoder(const luup_model_params & params) {
    if (!params.mmproj) {
        return;
    }
    check_file(params.mmproj);
    MediaEncoderParams p;
    p.threads = context_params(model_.get(), params, false).n_threads_batch;
    p.batch   = params.batch_size;
    p.use_gpu = description_.numbers.gpu_layers > 0;
    try_projector(params.mmproj, model_.get(), p);
    encoder_          = std::make_unique<MediaEncoder>(params.mmproj, model_.get(), p);
    projector_memory_ = luup::projector_memory(params.mmproj, true);
    chat_->use_encoder(encoder_.get());
}

void LoadedModel::make_engine(const std::string & path, const luup_model_params & params) {
    EngineParams p;
    p.context       = context_params(model_.get(), params, params.draft || mtp_ == mtp_used);
    p.threads       = p.context.n_threads;
    p.threads_batch = p.context.n_threads_batch;
    p.fixed_threads = params.threads > 0 || servers_ || description_.numbers.gpu_layers > 0;
    p.cache_ram     = static_cast<uint64_t>(params.cache_ram);
    p.max_waiting   = params.max_waiting;
    p.servers       = servers_.get();
    p.files         = files_.get();
    p.adapters      = adapters_;
    p.encoder       = encoder_.get();
    p.draft         = draft_.model.get();
    p.mtp           = mtp_ == mtp_used;
    check_context_memory(model_.get(), p.context);
    const RopeScaling scaling = luup::rope_scaling(params);
    cache_types_              = luup::cache_types(params);
    rope_scaling_             = used_rope_scaling(model_.get(), scaling);

    files_key_   = luup::files_key(path);
    context_key_ = files_key_ + " " + std::to_string(llama_model_n_params(model_.get())) + " " LUUP_LLAMA_COMMIT;
    if (!cache_types_.are_default()) {
        context_key_ += " " + cache_types_.text();
    }
    if (scaling.is_given()) {
        context_key_ += " " + rope_scaling_.key();
    }
    if (params.mmproj) {
        context_key_ += " " + file_key(params.mmproj);
    }
    if (params.prefix_cache) {
        p.prefixes = std::make_shared<PrefixCache>(params.prefix_cache, context_key_);
    }
    engine_        = std::make_unique<Engine>(model_.get(), p);
    mtp_           = engine_->mtp_failure().empty() ? mtp_ : engine_->mtp_failure();
    threads_       = p.threads;
    threads_batch_ = p.threads_batch;
}

std::shared_ptr<const Vocabulary> LoadedModel::vocabulary() const {
    std::call_once(vocabulary_made_, [&] { vocabulary_ = std::make_shared<const Vocabulary>(vocab_); });
    return vocabulary_;
}

}  // namespace luup
