// One message being answered: the events that the caller pulls.
#pragma once

#include "agent.h"
#include "engine.h"
#include "text.h"

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>

namespace luup {

class Run : public Completion {
  public:
    // `message`: what enters the history before the answer; none if the history is answered as it stands.
    Run(std::shared_ptr<Agent> agent, std::optional<Message> message, Prompt prompt, const Sampling & sampling, int64_t timeout_ms);

    // See luup_run_next() and its siblings. `event->text` is valid until the next call.
    void next(int32_t timeout_ms, luup_event * event);
    bool wait(int32_t timeout_ms);
    void set_wakeup_fd(intptr_t fd);
    void cancel();

    const Agent & agent() const { return *agent_; }

    // From the engine's thread.
    void on_progress(int32_t done, int32_t total) override;
    bool on_token(llama_token token) override;
    void on_end(luup_finish_reason reason, const Failure & failure, const Metrics & metrics) override;

  private:
    struct Event {
        luup_event_type type;
        std::string     text;
        int32_t         done  = 0;
        int32_t         total = 0;
    };

    void push_delta(const AnswerParser::Delta & delta);
    void push(Event event);
    void finish(luup_finish_reason reason, const Failure & failure, const Metrics & metrics);

    const std::shared_ptr<Agent> agent_;
    const std::optional<Message> message_;

    // Of the engine's thread alone.
    std::unordered_set<llama_token> preserved_;
    Utf8Stream                      utf8_;
    StopFilter                      stop_;
    AnswerParser                    parser_;

    std::mutex              mutex_;
    std::condition_variable ready_;  // an event waits, or the run has ended
    std::condition_variable over_;   // the run has ended
    std::deque<Event>       events_;
    Message                 answer_;   // so far
    Event                   current_;  // what next() gave last: owns event->text
    bool                    ended_     = false;
    intptr_t                wakeup_fd_ = -1;
    luup_finish_reason      reason_    = LUUP_FINISH_NONE;
    Failure                 failure_;
    Metrics                 metrics_;
};

}  // namespace luup
