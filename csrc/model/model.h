// The models that agents answer with: one in this process, one behind a server, or several that stand in for each
// other.
#pragma once

#include "model/compiled.h"
#include "model/kv_state.h"
#include "model/turn.h"

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

namespace luup {

class ChatTemplate;
class LocalModel;
class SingleModel;

// Increased in the child at each fork(): a handle of another generation belongs to a parent process.
unsigned fork_generation();

// Keeps the weights of a model in memory while it lives. Empty where there is nothing to keep.
using Hold = std::shared_ptr<const void>;

// A luup_model_info with the texts that it points to.
struct ModelInfo {
    std::string     path, description, architecture, file_type, backend, device, cpu_variant, chat_template;
    std::string     cache_type_k, cache_type_v, rope_scaling, mtp;
    bool            sees = false, hears = false;
    luup_model_info numbers = {};  // only the fields that are not texts

    // All fields but `size`. The texts belong to this object.
    luup_model_info view() const;
};

// The interface of all kinds of models: a name, a description and a lifetime that ends with close(). All methods may be
// called from any thread.
class Model {
  public:
    virtual ~Model()                 = default;
    Model(const Model &)             = delete;
    Model & operator=(const Model &) = delete;

    using UseLock = std::shared_lock<std::shared_mutex>;

    // Keeps the model from being closed while the lock is held. Not recursive. Throws Error(LUUP_ERROR_CLOSED) or
    // (LUUP_ERROR_FORKED).
    UseLock use() const;

    // A local model, and the lock that keeps it open.
    struct LocalUse {
        UseLock      lock;
        LocalModel & model;

        LocalModel * operator->() const { return &model; }
    };

    // Like use(), for `what`, which needs a model in this process. Throws Error(LUUP_ERROR_UNSUPPORTED) too.
    LocalUse use_local(const char * what);

    // The same, and its weights are in memory. Throws the Error of a load, too.
    LocalUse use_weights(const char * what);

    // This model if it runs in this process, else null.
    virtual LocalModel * local() { return nullptr; }

    // The models that may answer a turn, the preferred one first. Only a fallback has more than one.
    virtual size_t        candidates() const      = 0;
    virtual SingleModel & candidate(size_t index) = 0;

    // use() of a candidate; an empty lock where use() of this model covers it.
    virtual UseLock use_candidate(size_t) const { return {}; }

    // Makes the engines look for cancelled turns now.
    virtual void interrupt() {}

    // Lets other agents use the sequences of the agent `owner`, which was destroyed.
    virtual void disown(uint64_t) {}

    // Return the KV state of the agent `owner` with these adapters: of the conversation whose tokens `tokens` returns,
    // if it is still in the context or in RAM; or the one that was used last, if it has at least `least` tokens and at
    // most `most` bytes. Without a sequence if there is none, as for models without a context in this process. Call
    // them while use() is held. Throw Error.
    using TokensOf = std::function<std::vector<llama_token>(const ChatTemplate & chat)>;
    virtual KvState conversation_state(uint64_t owner, const std::vector<AdapterScale> & adapters,
                                       const TokensOf & tokens);
    virtual KvState last_state(uint64_t owner, const std::vector<AdapterScale> & adapters, size_t least, uint64_t most);

    // Keeps a KV state, which has a sequence, for the next run of the agent `owner`. Returns the reason why it can't be
    // used, "" if it can. Call it while use() is held. Throws Error.
    virtual std::string adopt_state(uint64_t owner, KvState state);

    // Compiles what an output has to be for this model, unless it is among the compiled ones. Throws Error.
    virtual std::shared_ptr<const OutputFormat> compile_output(const OutputSource & source);

    // Checks what only the model knows about the settings: the tokens of logit_bias. Call it while use() is held.
    // Throws Error(LUUP_ERROR_INVALID_PARAM).
    virtual void check(Sampling sampling) const = 0;

    // The schemas compiled for this model so far.
    Compiled & compiled() { return compiled_; }

    // For messages: the path of the file, the name that the server knows, or the names of a fallback's models.
    const std::string & name() const { return name_; }

    bool forked() const { return generation_ != fork_generation(); }

    // close() was called: it may still wait.
    bool closing() const { return closing_; }

    // Throws Error(LUUP_ERROR_FORKED) in a child process.
    void check_process() const;

    // Ends the runs with LUUP_ERROR_CLOSED and frees the memory. Waits for those that hold use(). Idempotent.
    void close();

    luup_model_info info() const { return info_.view(); }

  protected:
    Model(std::string name, ModelInfo info) : name_(std::move(name)), info_(std::move(info)) {}

    // Ends what the model has under way. `lock` is on the mutex that use() shares; it may be released.
    virtual void shut_down(std::unique_lock<std::shared_mutex> & lock) = 0;

    // A description without a file: texts only, where most are empty.
    static ModelInfo plain_info(const std::string & name, const char * kind);

    const std::string name_;
    ModelInfo         info_;  // complete when the constructor returns
    Compiled          compiled_;

    // Keeps all other threads from using the model. Throws as use() does.
    std::unique_lock<std::shared_mutex> alone();

    // The same; an empty lock while the model is in use.
    std::unique_lock<std::shared_mutex> try_alone() { return { mutex_, std::try_to_lock }; }

  private:
    const unsigned            generation_ = fork_generation();
    mutable std::shared_mutex mutex_;
    bool                      closed_ = false;
    std::atomic<bool>         closing_{ false };  // close() waits until the model is not in use
};

// A model that answers by itself. Call these methods while use() is held.
class SingleModel : public Model {
  public:
    using Model::Model;

    // Loads the weights, if they are not in memory; they stay there as long as use() is held. Blocks, unless this
    // thread is interrupted. Throws Error.
    virtual void load() {}

    // The same; and they stay in memory while the result lives.
    virtual Hold hold() { return {}; }

    // Whether load() would not block.
    virtual bool ready() const { return true; }

    // Prepares a turn, without beginning it, with the weights in memory. Throws Error.
    virtual std::shared_ptr<ModelTurn> prepare(TurnRequest request) = 0;

    // In tokens; a usual size for a server, which does not report it.
    virtual int32_t context_size() const = 0;

    // The number of tokens of `text`; of a server's model an upper bound for most languages.
    virtual size_t count_tokens(const std::string & text) const = 0;

    // The length of the prompt of `messages` in tokens; none if only the server knows. Throws Error.
    virtual std::optional<size_t> prompt_size(const std::vector<Message> & messages, const ToolSet & tools,
                                              const Reasoning & reasoning) const = 0;

    // Whether the run can request a missing forced call as a typed result. Other models are forced to call by other
    // means, or not at all.
    virtual bool types_forced_calls() const { return false; }

    size_t        candidates() const override { return 1; }
    SingleModel & candidate(size_t) override { return *this; }
};

}  // namespace luup
