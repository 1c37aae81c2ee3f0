// A system prompt, sampling settings and a history on top of a model.
#pragma once

#include "model.h"

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace luup {

class Run;

class Agent : public std::enable_shared_from_this<Agent> {
  public:
    Agent(std::shared_ptr<Model> model, std::string system_prompt, Sampling sampling, bool enable_history);
    ~Agent();

    // Begins to answer `message`, or the history as it stands. Throws Error.
    std::shared_ptr<Run> start(const std::optional<std::string> & message, const std::optional<Sampling> & sampling, int64_t timeout_ms);

    // A run is over; with `success` its messages enter the history. Called once for each run, from any thread.
    void on_run_end(bool success, const std::optional<Message> & message, const Message & answer);

    void                 add_message(const std::string & role, const std::string & content);
    void                 set_history(std::vector<Message> messages);
    std::vector<Message> history() const;

    // The tokens of a run of `message`, or with std::nullopt of the history alone.
    std::vector<llama_token> prompt_tokens(const std::optional<std::string> & message) const;

    // Everything but the `size` field.
    luup_context_usage context() const;

    Model &             model() const { return *model_; }
    const llama_vocab * vocab() const { return vocab_; }  // valid in the engine's thread, and while the model is in use
    uint64_t            id() const { return id_; }
    const Sampling &    sampling() const { return sampling_; }

  private:
    std::vector<Message> conversation() const;  // with the system prompt; mutex_ is held
    void                 check_idle() const;    // mutex_ is held

    const uint64_t               id_;
    const std::shared_ptr<Model> model_;
    const llama_vocab *          vocab_;
    const std::string            system_prompt_;
    const Sampling               sampling_;
    const bool                   enable_history_;

    mutable std::mutex   mutex_;  // taken after Model::use() and Run's mutex, never before
    std::vector<Message> history_;
    int                  runs_ = 0;  // going on
};

// Throws Error(LUUP_ERROR_INVALID_PARAM) unless a history may hold `role`.
void check_role(const std::string & role);

}  // namespace luup
