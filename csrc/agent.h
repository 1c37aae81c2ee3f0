// A system prompt, sampling settings, tools and a history on top of a model.
#pragma once

#include "builtins/summarize.h"
#include "model.h"
#include "output.h"
#include "tools.h"

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace luup {

class Run;
struct RunRequest;

class Agent : public std::enable_shared_from_this<Agent> {
  public:
    Agent(std::shared_ptr<Model> model, std::string system_prompt, Sampling sampling, bool enable_history);
    ~Agent();

    // Saves what was said, `extra` and what of the context is warm; and makes an agent of that, whose `enable_history` is true. Throw Error.
    void                          save(const std::string & path, const std::string & extra) const;
    static std::shared_ptr<Agent> load(std::shared_ptr<Model> model, const std::string & path, Sampling sampling, std::string & extra);

    // Another agent with the settings, the tools and the history of this one.
    std::shared_ptr<Agent> fork(const std::shared_ptr<Model> & model) const;

    // Begins to answer; `request.tools` null: the agent's own. Throws Error.
    std::shared_ptr<Run> start(RunRequest request);

    // A run is over and `added` enters the history, which is `base` from now on if that is not null. Called once for each run, from any thread.
    void on_run_end(const std::vector<Message> * base, const std::vector<Message> & added);

    // Tools of later runs. Throws Error.
    void                           register_tool(Tool tool);
    void                           unregister_tool(const std::string & name);
    std::shared_ptr<const ToolSet> tools() const;

    // Tools that run in here, offered like the others; and a call of one by the program. Throw Error.
    void                   add_builtins(const std::vector<Tool> & tools);
    void                   enable_summarization(const Summarization::Settings & settings, bool with_tool);
    nlohmann::ordered_json call_builtin(const std::string & name, const std::string & arguments) const;
    Summarization &        summarization() const { return *summarization_; }

    // Compiled from JSON text; the last few are kept.
    std::shared_ptr<const ToolSet>      parse_tools(const std::string & text);
    std::shared_ptr<const OutputFormat> parse_output(const std::string & schema);

    void                 add_message(const std::string & role, const std::string & content);
    void                 set_history(std::vector<Message> messages);
    std::vector<Message> history() const;

    // The tokens of a run of `message`, or with std::nullopt of the history alone.
    std::vector<llama_token> prompt_tokens(const std::optional<std::string> & message) const;

    // What all conversations begin with that are offered these tools. Model::use() is held.
    std::vector<llama_token> prefix(const std::shared_ptr<const ToolSet> & tools) const;

    // Everything but the `size` field.
    luup_context_usage context() const;

    Model &                        model() const { return *model_; }
    const std::shared_ptr<Model> & shared_model() const { return model_; }
    const llama_vocab *            vocab() const { return vocab_; }  // valid in the engine's thread, and while the model is in use
    uint64_t                       id() const { return id_; }
    const Sampling &               sampling() const { return sampling_; }

  private:
    std::vector<Message>     conversation() const;  // with the system prompt; mutex_ is held
    std::vector<llama_token> conversation_tokens() const;  // likewise
    void                     check_idle() const;    // mutex_ is held
    void                     remove(const std::string & tool);  // likewise
    const ToolSet *          offered() const;       // null if there are none; mutex_ is held
    std::vector<llama_token> compute_prefix(const ToolSet * tools) const;  // null: no tools; mutex_ is held

    const uint64_t               id_;
    const std::shared_ptr<Model> model_;
    const llama_vocab *          vocab_;
    const std::string            system_prompt_;
    const Sampling               sampling_;
    const bool                   enable_history_;

    // The results of dear computations, by text.
    template <typename T>
    struct Recent {
        static constexpr size_t                                      limit = 16;
        std::deque<std::pair<std::string, std::shared_ptr<const T>>> entries;

        template <typename Make>
        std::shared_ptr<const T> get(const std::string & text, Make make) {
            for (const auto & entry : entries) {
                if (entry.first == text) {
                    return entry.second;
                }
            }
            entries.emplace_back(text, make(text));
            if (entries.size() > limit) {
                entries.pop_front();
            }
            return entries.back().second;
        }
    };

    mutable std::mutex             mutex_;  // taken after Model::use() and Run's mutex, never before
    std::vector<Message>           history_;
    std::shared_ptr<const ToolSet> tools_;     // never null
    std::vector<Tool>              builtins_;  // those of tools_ that run in here
    std::shared_ptr<Summarization> summarization_ = std::make_shared<Summarization>();
    int                            runs_          = 0;  // going on

    mutable std::shared_ptr<const ToolSet> prefix_tools_;  // that prefix_ was computed for; null: none yet
    mutable std::vector<llama_token>       prefix_;

    std::mutex           recent_mutex_;
    Recent<ToolSet>      recent_tools_;
    Recent<OutputFormat> recent_outputs_;
};

}  // namespace luup
