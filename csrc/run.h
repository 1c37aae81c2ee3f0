// One message being answered: the model's turns, the calls of tools between them, and the events that the caller pulls.
#pragma once

#include "agent.h"
#include "answer.h"
#include "builtins/summarize.h"
#include "forced_call.h"
#include "output.h"
#include "remote.h"

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace luup {

// What a run is asked for.
struct RunRequest {
    std::optional<Message>              message;  // what enters the history before the answer; none: the history is answered as it stands
    Sampling                            sampling;
    int64_t                             timeout_ms = -1;
    std::shared_ptr<const ToolSet>      tools;     // never null
    std::string                         tool_choice    = "auto";
    bool                                parallel_calls = true;
    int32_t                             priority       = 0;
    int32_t                             max_turns      = 16;
    std::shared_ptr<const OutputFormat> output;  // null: free text
    bool                                review         = false;
    int32_t                             output_retries = 1;
    bool                                confidence     = false;
    std::vector<std::string>            choices;  // to be scored instead of an answer
};

class Run : public Answer::Listener, public std::enable_shared_from_this<Run> {
  public:
    // `conversation`: the messages before this run, the system prompt first.
    Run(std::shared_ptr<Agent> agent, RunRequest request, std::vector<Message> conversation);

    // Begins the first turn, or gives the calls again that the conversation ends with. Model::use() is held. Throws Error.
    void start();

    // See luup_run_next() and its siblings. `event->text` and its like are valid until the next call.
    void next(int32_t timeout_ms, luup_event * event);
    bool wait(int32_t timeout_ms);
    void set_wakeup_fd(intptr_t fd);
    void submit_tool_result(const std::string & call_id, const std::string & content, bool is_error);
    void review_output(const std::optional<std::string> & problem);
    void submit_summary(const std::optional<std::string> & summary);
    void suspend();
    bool waits_for(const std::string & call_id) const;
    void cancel();

    // What the server says to the request that the run has asked for.
    bool push_chunk(const std::string & chunk);
    void end_completion(const Failure & failure);

    std::vector<Message> messages() const;
    const Agent &        agent() const { return *agent_; }
    const RunRequest &   request() const { return request_; }

    // From the engine's thread, or the one that pushes what a server says.
    void on_answer_progress(int32_t done, int32_t total) override;
    void on_answer_text(const std::string & reasoning, const std::string & text) override;
    void on_answer_end(AnswerResult answer, luup_finish_reason reason, const Failure & failure, const Metrics & metrics) override;
    void on_score(size_t index, const Failure & failure, const Metrics & metrics);
    void on_summary(const std::string & text, const Failure & failure, const Metrics & metrics);

  private:
    struct Event {
        luup_event_type type;
        std::string     text        = "";
        int32_t         done        = 0;
        int32_t         total       = 0;
        std::string     call_id     = "";
        std::string     tool_name   = "";
        int32_t         calls_left  = 0;
        std::string     arguments   = "";
        bool            is_error    = false;
        int32_t         model_index = 0;
    };

    // A call of the turn under way; its result comes from the host, or from here if the call can't be made.
    struct PendingCall {
        ToolCall                   call;
        std::optional<std::string> result;
    };

    enum class State { Answering,
                       Requested,  // of a server, by the host
                       Builtins,   // calls of built-in tools wait for the caller's thread
                       Tools,
                       Review,
                       Summary,  // the host writes it
                       Next,
                       Ended };

    using Completions = std::vector<std::shared_ptr<Completion>>;

    AnswerPlan  plan(const Prompt & prompt) const;
    std::string words_given() const;
    std::string tool_choice() const;
    Model &     model() const;
    void        adopt_model();
    void        begin_turn();
    void        ask_model();
    void        ask_local_model(std::vector<Message> messages);
    void        ask_remote_model(std::vector<Message> messages);
    bool        fall_back(const Failure & failure);
    Completions scored_choices(const Prompt & prompt);
    void        submit(const Completions & completions, uint64_t owner, bool is_turn);
    void        submit(const RemoteTurn & turn, std::shared_ptr<Answer::Listener> listener, bool is_turn);
    void        count_turn(bool is_turn);

    // The summary that makes room before a turn; summarize() tells whether the turn has to wait for it. As begin_turn() in what is held.
    bool summarize(size_t prompt_tokens);
    bool plan_summary(size_t prompt_tokens);
    void ask_for_summary();
    bool take_summary();

    // mutex_ is held in all of these; advance() and wait_for_change() let go of it for a while.
    void              advance(std::unique_lock<std::mutex> & lock);
    void              wait_for_change(std::condition_variable & changed, std::unique_lock<std::mutex> & lock, Clock::time_point until);
    Clock::time_point deadline() const;
    bool              host_is_waited_for() const;
    bool              waits_for_caller() const { return state_ == State::Next || state_ == State::Builtins; }
    bool              is_forced(AnswerResult & answer, luup_finish_reason reason);
    void              tell_held(const AnswerResult & answer);
    void              take_calls(AnswerResult & answer);
    void              take_output(const AnswerResult & answer);
    void              reject(const std::string & output, const std::string & problem);
    std::string       check_call(const ToolCall & call) const;
    void              await_results(const std::vector<ToolCall> & calls);
    void              call_builtins(std::unique_lock<std::mutex> & lock);
    void              tell_calls();
    void              commit_results();
    void              next_turn();
    void              push(Event event);
    void              enter(State state);
    void              wake();
    void              finish(luup_finish_reason reason, const Failure & failure);
    bool              is_late() const;

    const std::shared_ptr<Agent> agent_;
    const RunRequest             request_;
    std::vector<Message>         conversation_;  // changed by a summary, by whoever begins the turn
    const Clock::time_point      started_ = Clock::now();

    mutable std::mutex                  mutex_;
    std::condition_variable             ready_;  // an event waits, or the state has changed
    std::condition_variable             turn_;   // the state has changed
    State                               state_ = State::Next;
    std::deque<Event>                   events_;
    Event                               current_ = { LUUP_EVENT_NONE, "" };  // what next() gave last: owns event->text
    Clock::time_point                   quiet_until_;  // no text wakes next() before
    std::vector<Message>                added_;     // to the conversation, by this run
    std::vector<Message>                rejected_;  // answers, and why; forgotten in the end
    std::vector<PendingCall>            pending_;
    std::vector<ToolCall>               made_;  // in all turns
    Completions                         completions_;  // of the turn under way
    std::shared_ptr<RemoteAnswer>       remote_;     // likewise, where a server answers
    std::optional<ForcedCall>           forced_;     // likewise, where that has to be a call; what it says is told when it has ended
    std::shared_ptr<const ToolSet>      tools_;      // of the request, for the model that answers
    std::shared_ptr<const OutputFormat> format_;     // likewise
    size_t                              model_index_ = 0;     // of a fallback's models: the one that answers
    bool                                told_        = false;  // something of the turn under way
    bool                                asked_       = false;  // the host has taken the request of the turn under way
    TokenizedText                       prompt_;       // of the last turn; whoever begins one has it
    std::unique_ptr<Summarizer>         summarizer_;   // once this run has begun to summarize
    bool                                host_summarizes_ = false;
    bool                                gave_up_         = false;  // there will be no summary
    bool                                summarized_      = false;  // conversation_ begins with one
    std::vector<Metrics>                summary_metrics_;
    double                              before_answer_ = 0;  // seconds until the first turn could be handed to a model, if a summary came before
    std::vector<double>                 scores_;
    size_t                              scores_left_ = 0;
    int32_t                             turns_       = 0;
    int32_t                             retries_     = 0;
    bool                                begun_       = false;  // the engine has taken something of this run
    std::string                         output_;  // under review
    std::string                         confidence_;
    intptr_t                            wakeup_fd_ = -1;
    luup_finish_reason                  reason_    = LUUP_FINISH_NONE;
    Failure                             failure_;
    Metrics                             metrics_;  // of all turns
};

}  // namespace luup
