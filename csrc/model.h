// A model: a file with its checks, its chat template and its engine; or a name that a server knows; or several models that stand in for each other.
#pragma once

#include "chat.h"
#include "constraint.h"
#include "engine.h"
#include "placement.h"

#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

namespace luup {

class Remote;

// Grows in the child at each fork(): a handle of another generation belongs to a parent process.
unsigned fork_generation();

// All that can be told to be wrong before weights are read; loads the backends. Throws Error.
void check_load(const std::string & path, const luup_model_params & params);

// The context that a model gets.
llama_context_params context_params(const llama_model * model, const luup_model_params & params);

// Bytes that the machine can still give, from the kernel's own estimate; 0 = unknown.
uint64_t available_memory();

class Model {
  public:
    // Loads a GGUF file. Throws Error.
    static std::shared_ptr<Model> load(const std::string & path, const luup_model_params & params);

    // A model behind a server that the host talks to.
    static std::shared_ptr<Model> remote(std::unique_ptr<Remote> remote);

    // The first of `models` answers; when it fails before it said anything, the next one does. Throws Error.
    static std::shared_ptr<Model> fallback(std::vector<std::shared_ptr<Model>> models);

    ~Model();
    Model(const Model &)             = delete;
    Model & operator=(const Model &) = delete;

    // Keeps the model from being closed while it is held. Throws Error(LUUP_ERROR_CLOSED) or (LUUP_ERROR_FORKED). Not recursive.
    std::shared_lock<std::shared_mutex> use() const;

    // Likewise, for `what`, which needs a local model. Throws Error(LUUP_ERROR_UNSUPPORTED) too.
    std::shared_lock<std::shared_mutex> use_local(const char * what) const;

    // Null unless the model is a remote one.
    Remote * remote() const { return remote_.get(); }

    // Of a fallback; else empty.
    const std::vector<std::shared_ptr<Model>> & alternatives() const { return alternatives_; }

    // The models with an engine: this one, none, or those of a fallback.
    std::vector<Model *> locals();

    // For messages.
    const std::string & name() const { return path_; }

    bool forked() const { return generation_ != fork_generation(); }

    // Throws Error(LUUP_ERROR_FORKED) in a child process.
    void check_process() const;

    void close();

    // Only while use() is held; not of a remote model or a fallback.
    const ChatTemplate & chat() const { return *chat_; }
    const llama_vocab *  vocab() const { return vocab_; }  // null if it is not local

    // Made when it is first asked for.
    std::shared_ptr<const Vocabulary> vocabulary() const;

    // Stays valid after close(), as an engine that refuses everything. Not of a remote model or a fallback.
    Engine & engine() const { return *engine_; }

    const luup_model_info & info() const { return info_; }

    // What a part of the context depends on: the model's file, the template, the build.
    const std::string & context_key() const { return context_key_; }

  private:
    Model(const std::string & path, const luup_model_params & params);
    Model(const std::string & name, const std::string & kind);
    void        load_weights(const luup_model_params & params, Placement & placement);
    void        check_can_generate() const;
    void        check_context_memory(uint32_t n_ctx) const;
    void        make_engine(const luup_model_params & params);
    void        describe(const luup_model_params & params);
    std::string meta(const std::string & key) const;

    const unsigned                            generation_ = fork_generation();
    mutable std::shared_mutex                 mutex_;
    bool                                      closed_ = false;
    llama_model *                             model_  = nullptr;
    const llama_vocab *                       vocab_  = nullptr;
    std::unique_ptr<RpcServers>               servers_;
    std::unique_ptr<ChatTemplate>             chat_;
    mutable std::once_flag                    vocabulary_made_;
    mutable std::shared_ptr<const Vocabulary> vocabulary_;
    std::unique_ptr<Engine>                   engine_;
    std::unique_ptr<Remote>                   remote_;
    std::vector<std::shared_ptr<Model>>       alternatives_;

    luup_model_info info_ = {};
    std::string     path_, description_, architecture_, file_type_, backend_, device_, cpu_variant_, template_;  // what info_ points to
    std::string     context_key_;
};

}  // namespace luup
