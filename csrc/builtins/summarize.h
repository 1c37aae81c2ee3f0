// The built-in summarization: when a conversation fills the context, its oldest messages give way to a summary of them.
#pragma once

#include "message.h"
#include "tools.h"

#include "llama.h"

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace luup {

// What an agent has decided about it; shared by the agent, its runs and the tool. All methods may be called from any thread.
class Summarization {
  public:
    struct Settings {
        bool  enabled   = false;
        float threshold = 0.75f;  // of the context: a prompt that is larger gives cause to it
        float keep      = 0.4f;   // of the history's messages: the newest that stay as they are, at least
        bool  by_host   = false;  // the host writes the summary
        bool  due       = false;  // it was asked for, whatever the size
    };

    Summarization() = default;
    explicit Summarization(const Settings & settings) : settings_(settings) {}

    // Throws Error(LUUP_ERROR_INVALID_PARAM).
    void     set(const Settings & settings);
    Settings settings() const;
    void     on_summarized();  // a run that summarized is over

    static constexpr const char * tool_name = "summarization";

    // The tool of that name: status, trigger, enable, disable.
    static Tool make_tool(std::shared_ptr<Summarization> state);

  private:
    nlohmann::ordered_json act(const std::string & action);
    nlohmann::ordered_json status() const;  // mutex_ is held

    mutable std::mutex mutex_;
    Settings           settings_;
    int                summaries_ = 0;
};

// The numbers of messages of `history` that may give way, in rising order: what is kept begins with a user's message, so that calls and their
// results stay together. The first one leaves at least `keep` of the messages, if that can be. `all`: the whole history may go.
std::vector<size_t> possible_cuts(const std::vector<Message> & history, float keep, bool all);

// What stands in the history for the messages that gave way.
std::vector<Message> summary_messages(const std::string & summary);

// Writes one summary in as many steps as the model's context needs for the old messages.
class Summarizer {
  public:
    // `count`: the tokens of a text. `context`: of the model. Throws what `count` throws.
    Summarizer(std::vector<Message> old, int32_t context, const std::function<size_t(const std::string & text)> & count);

    // What the model is asked next, and how long its answer may be; what it answered. When it is done, the summary.
    std::vector<Message> prompt() const;
    int32_t              max_tokens() const { return max_tokens_; }
    bool                 take(const std::string & summary);  // false: there is nothing in it
    bool                 done() const { return next_ == pieces_.size(); }
    const std::string &  summary() const { return summary_; }

    // A whole summary that somebody else wrote.
    void set_summary(const std::string & summary);

    const std::vector<Message> & old() const { return old_; }

    // The longest answer of a step, in tokens.
    static int32_t room_for_summary(int32_t context);

  private:
    std::vector<Message>     old_;
    int32_t                  max_tokens_;
    std::vector<std::string> pieces_;  // of the conversation as text
    size_t                   next_ = 0;
    std::string              summary_;
};

}  // namespace luup
