// The part of a model in this process that takes memory: its weights, its chat template and its engine.
#pragma once

#include "chat/template.h"
#include "device/placement.h"
#include "engine/engine.h"
#include "media/encoder.h"
#include "model/cache_type.h"
#include "model/draft.h"
#include "model/model.h"
#include "model/rope_scaling.h"
#include "model/stored_weights.h"
#include "tokens/vocabulary.h"

#include "llama-cpp.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

namespace luup {

class LoadedModel {
  public:
    // Loads a GGUF file. Throws Error.
    LoadedModel(const std::string & path, const luup_model_params & params);

    const ChatTemplate & chat() const { return *chat_; }
    const llama_vocab *  vocab() const { return vocab_; }
    const llama_model *  weights() const { return model_.get(); }
    Engine &             engine() const { return *engine_; }

    // Null if the model reads text alone.
    MediaEncoder * encoder() const { return encoder_.get(); }
    uint64_t       projector_memory() const { return projector_memory_; }  // bytes

    // Made at the first call.
    std::shared_ptr<const Vocabulary> vocabulary() const;

    // Names what a KV state depends on: the model's file, the template, the build, the types of the cache and the
    // scaling of positions.
    const std::string & context_key() const { return context_key_; }

    // files_key() of the path.
    const std::string & files_key() const { return files_key_; }

    // The description that follows from the file alone, without the numbers of the context.
    const ModelInfo & description() const { return description_; }

    // Whether the file's own heads guess tokens, see luup_model_info.mtp.
    const std::string & mtp() const { return mtp_; }

    const CacheTypes &  cache_types() const { return cache_types_; }
    const RopeScaling & rope_scaling() const { return rope_scaling_; }

    // The sizes of the weights in a layout of the CPU's kernels.
    const StoredSizes & stored() const { return stored_; }

    int32_t threads() const { return threads_; }
    int32_t threads_batch() const { return threads_batch_; }

  private:
    void load_encoder(const luup_model_params & params);
    void make_engine(const std::string & path, const luup_model_params & params);

    // Freed from the last to the first: the engine uses the model, and the model the servers and files.
    std::unique_ptr<RpcServers>               servers_;
    std::unique_ptr<MappedFiles>              files_;
    llama_model_ptr                           model_;
    const llama_vocab *                       vocab_ = nullptr;
    std::unique_ptr<MediaEncoder>             encoder_;
    uint64_t                                  projector_memory_ = 0;
    Draft                                     draft_;
    std::string                               mtp_;
    std::unique_ptr<ChatTemplate>             chat_;
    mutable std::once_flag                    vocabulary_made_;
    mutable std::shared_ptr<const Vocabulary> vocabulary_;
    std::shared_ptr<Adapters>                 adapters_;
    std::unique_ptr<Engine>                   engine_;
    ModelInfo                                 description_;
    CacheTypes                                cache_types_;
    RopeScaling                               rope_scaling_;
    StoredSizes                               stored_;
    std::string                               files_key_;
    std::string                               context_key_;
    int32_t                                   threads_       = 0;
    int32_t                                   threads_batch_ = 0;
};

}  // namespace luup
