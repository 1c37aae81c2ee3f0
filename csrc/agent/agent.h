// A system prompt, sampling settings, tools and a history on top of a model.
#pragma once

#include "agent/builtins/summarization.h"
#include "agent/run_request.h"
#include "answer/output.h"
#include "chat/tools.h"
#include "model/model.h"

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace luup {

class ChatTemplate;

// All methods may be called from any thread. Locks, in this order: Model::use(), the mutex of a run, the agent's.
class Agent {
  public:
    Agent(std::shared_ptr<Model> model, std::string system_prompt, Sampling sampling, bool enable_history);
    ~Agent();

    // Write the system prompt, the history, `extra` and the KV state, if it is still in the context or in RAM, to a
    // file; and make an agent with history of such a file. Throw Error.
    void                          save(const std::string & path, const std::string & extra) const;
    static std::shared_ptr<Agent> load(std::shared_ptr<Model> model, const std::string & path, Sampling sampling,
                                       std::string & extra);

    // Write the KV state of the last run to a file, and read one of the same conversation. Return the number of its
    // tokens; 0 if there is no such state, or if it can't be used. Throw Error.
    size_t save_state(const std::string & path, size_t least, uint64_t most) const;
    size_t load_state(const std::string & path);

    // Makes another agent with the settings, the tools and the history of this one. Model::use() is held, of both
    // models.
    std::shared_ptr<Agent> fork(const std::shared_ptr<Model> & model) const;

    // Checks a request against the tools and the history, sets its tools to the agent's own if there are none, and
    // returns the conversation to continue, the system prompt first. on_run_end() has to follow, once. Model::use() is
    // held. Throws Error.
    std::vector<Message> begin_run(RunRequest & request);

    // Checks a request and fills in its tools as begin_run() does, and returns the same conversation, but begins no
    // run. Throws Error.
    std::vector<Message> preview_run(RunRequest & request) const;

    // Ends a run: `base` replaces the history, unless it is null; then `added` is appended.
    void on_run_end(const std::vector<Message> * base, const std::vector<Message> & added);

    // The tools of later runs. Throws Error.
    void                           register_tool(Tool tool);
    void                           unregister_tool(const std::string & name);
    std::shared_ptr<const ToolSet> tools() const;

    // Offer built-in tools, and call one for the program. Throw Error.
    void                   add_builtins(const std::vector<Tool> & tools);
    void                   enable_summarization(const Summarization::Settings & settings, bool with_tool);
    nlohmann::ordered_json call_builtin(const std::string & name, const std::string & arguments) const;
    Summarization &        summarization() const { return *summarization_; }

    // Compile a text, or return the cached result. Model::use() is held. Throw Error.
    std::shared_ptr<const ToolSet>      parse_tools(const std::string & text);
    std::shared_ptr<const OutputFormat> parse_output(const OutputSource & source);

    void                 add_message(const std::string & role, const std::string & content);
    void                 set_history(std::vector<Message> messages);
    void                 set_system_prompt(std::string system_prompt);
    std::vector<Message> history() const;

    // The prompt of a run of `message`, or with std::nullopt of the history alone. Throws Error, unless the model is
    // local (LUUP_ERROR_UNSUPPORTED).
    std::vector<llama_token> prompt_tokens(const std::optional<std::string> & message) const;

    // The tokens that all conversations with this system prompt and these tools begin with. Model::use() is held.
    // Throws Error.
    std::vector<llama_token> prefix(const ChatTemplate & chat, const std::string & system_prompt,
                                    const std::shared_ptr<const ToolSet> & tools) const;

    // All fields but `size`. Throws Error as prompt_tokens() does.
    luup_context_usage context() const;

    Model &                        model() const { return *model_; }
    const std::shared_ptr<Model> & shared_model() const { return model_; }
    uint64_t                       id() const { return id_; }  // unique in this process; the owner of sequences
    const Sampling &               sampling() const { return sampling_; }

  private:
    // The tokens of a conversation without the beginning of an answer.
    std::vector<llama_token> conversation_tokens(const ChatTemplate & chat, const std::vector<Message> & messages,
                                                 const ToolSet & tools) const;

    // With mutex_ held. `tools` null: no tools.
    std::vector<Message>     conversation() const;  // the system prompt first
    std::vector<Message>     conversation_of(RunRequest & request) const;
    void                     check_idle() const;
    void                     remove(const std::string & tool);
    const ToolSet *          offered() const;
    std::vector<llama_token> compute_prefix(const ChatTemplate & chat, const std::string & system_prompt,
                                            const ToolSet * tools) const;

    const uint64_t               id_;
    const std::shared_ptr<Model> model_;
    const Sampling               sampling_;
    const bool                   enable_history_;

    mutable std::mutex             mutex_;
    std::string                    system_prompt_;
    std::vector<Message>           history_;
    std::shared_ptr<const ToolSet> tools_;     // never null
    std::vector<Tool>              builtins_;  // the built-in tools among tools_
    std::shared_ptr<Summarization> summarization_ = std::make_shared<Summarization>();
    int                            runs_          = 0;  // under way
    std::vector<AdapterScale>      last_adapters_;      // of the run that the KV state is of

    mutable std::shared_ptr<const ToolSet> prefix_tools_;  // the tools of prefix_; null: not computed yet
    mutable std::string                    prefix_prompt_;  // the system prompt of prefix_
    mutable std::vector<llama_token>       prefix_;

    Recent<ToolSet> recent_tools_{ 16 };  // by JSON text

    // The formats used last: while the agent holds them, the model keeps them compiled.
    std::mutex                                      outputs_mutex_;
    std::deque<std::shared_ptr<const OutputFormat>> recent_outputs_;
};

}  // namespace luup
