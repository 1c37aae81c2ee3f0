// The settings of the built-in summarization, and the tool that changes them.
#pragma once

#include "chat/tools.h"

#include <nlohmann/json_fwd.hpp>

#include <memory>
#include <mutex>
#include <string>

namespace luup {

// Whether and when an agent summarizes; shared by the agent, its runs and the tool. All methods may be called from any
// thread.
class Summarization {
  public:
    struct Settings {
        bool  enabled   = false;
        float threshold = 0.75f;  // a prompt that takes a larger part of the context is summarized
        float keep      = 0.4f;  // the part of the history's messages, the newest, that stays if that makes enough room
        bool  by_host   = false;  // the host writes the summary
        bool  due       = false;  // summarize before the next turn, whatever the size
    };

    Summarization() = default;
    explicit Summarization(const Settings & settings) : settings_(settings) {}

    // Throws Error(LUUP_ERROR_INVALID_PARAM).
    void     set(const Settings & settings);
    Settings settings() const;

    // Counts a successful run whose conversation begins with a summary.
    void on_summarized();

    static constexpr const char * tool_name = "summarization";

    // The tool of that name: status, trigger, enable, disable.
    static Tool make_tool(std::shared_ptr<Summarization> state);

  private:
    nlohmann::ordered_json act(const std::string & action);
    nlohmann::ordered_json status() const;  // call it with mutex_ held

    mutable std::mutex mutex_;
    Settings           settings_;
    int                summaries_ = 0;
};

}  // namespace luup
