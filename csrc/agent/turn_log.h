// The requests of a run to its model, and their answers: for people who debug a run.
#pragma once

#include "agent/outcome.h"
#include "answer/answer.h"
#include "model/turn.h"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace luup {

// Not locked by itself: all methods are called with the run's mutex held.
class TurnLog {
  public:
    // A request goes to the model `model`, `now` seconds after the run's start; it was begun `began` seconds after it.
    // For a summary without `is_answer`.
    void begin(const std::string & model, bool is_answer, TurnPrompt prompt, double began, double now);

    // Whether a request has begun and not ended.
    bool open() const { return open_; }

    // The request has ended.
    void end(const AnswerResult & answer, luup_finish_reason reason, const Failure & failure, const Metrics & metrics,
             double now);

    // The last answer has these calls, with their final ids.
    void set_calls(const std::vector<ToolCall> & calls);

    // The last answer was rejected.
    void reject(const std::string & problem);

    // The requests that have ended, from number `first` on.
    nlohmann::ordered_json to_json(size_t first) const;

  private:
    struct Entry {
        std::string              model;
        bool                     is_answer = true;
        TurnPrompt               prompt;
        double                   began = 0, ended = 0, began_unix = 0;
        std::string              raw, text, reasoning;
        std::vector<ToolCall>    calls;
        bool                     has_calls = false;
        luup_finish_reason       reason    = LUUP_FINISH_NONE;
        Failure                  failure;
        std::string              problem;
        std::vector<std::string> decisions;
        Metrics                  metrics;
    };

    static nlohmann::ordered_json entry_json(const Entry & entry);

    std::vector<Entry> entries_;
    bool               open_ = false;
};

}  // namespace luup
