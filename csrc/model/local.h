// A model in this process: a GGUF file with its chat template and its engine.
#pragma once

#include "model/kept_params.h"
#include "model/loaded.h"
#include "model/model.h"
#include "model/residency.h"

#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>

namespace luup {

// The weights may leave the memory while they are unused, see Residency. Before methods that need them, call load(), or
// keep a hold().
class LocalModel : public SingleModel {
  public:
    // Loads a GGUF file. Throws Error.
    LocalModel(const std::string & path, const luup_model_params & params);
    ~LocalModel() override;

    void             load() override { residency_->load(); }
    Hold             hold() override { return residency_->hold(); }
    bool             ready() const override { return residency_->loaded(); }
    LocalModel *     local() override { return this; }
    bool             can_stop_thinking() const override { return true; }
    bool             encodes_media() const override { return true; }
    int32_t          context_size() const override { return info_.numbers.context_size; }
    void             interrupt() override;
    void             disown(uint64_t owner) override;
    luup_model_stats stats() const { return residency_->stats(); }

    // Frees the weights until they are needed again. Don't hold use(). Throws Error, with LUUP_ERROR_BUSY while runs
    // are under way.
    void unload();

    KvState     conversation_state(uint64_t owner, const std::vector<AdapterScale> & adapters,
                                   const TokensOf & tokens) override;
    KvState     last_state(uint64_t owner, const std::vector<AdapterScale> & adapters, size_t least,
                           uint64_t most) override;
    std::string adopt_state(uint64_t owner, KvState state) override;  // loads the weights

    // These need no weights, but do more while they are in memory: a run checks its adapters and the tokens of
    // logit_bias itself, and compiles its grammar.
    std::shared_ptr<const OutputFormat> compile_output(const OutputSource & source) override;
    void                                check(Sampling sampling) const override;

    // These need the weights.
    std::shared_ptr<ModelTurn> prepare(TurnRequest request) override;
    size_t                     count_tokens(const std::string & text) const override;
    std::optional<size_t>      prompt_size(const std::vector<Message> & messages, const ToolSet & tools,
                                           const Reasoning & reasoning) const override;
    const ChatTemplate &       chat() const { return weights().chat(); }
    const llama_vocab *        vocab() const { return weights().vocab(); }
    Engine &                   engine() const { return weights().engine(); }

  private:
    LoadedModel & weights() const;
    void          shut_down(std::unique_lock<std::shared_mutex> & lock) override;
    void          describe(const LoadedModel & loaded, const luup_model_params & params);

    std::unique_ptr<LoadedModel> load_again() const;
    void                         check_same_files(const std::string & key) const;

    std::unique_ptr<const KeptParams> params_;
    std::string                       path_;  // absolute
    std::string                       files_key_;
    std::string                       context_key_;  // see LoadedModel::context_key()
    std::unique_ptr<Residency>        residency_;
};

}  // namespace luup
