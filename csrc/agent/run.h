// One message being answered: the model's turns, the calls of tools between them, and the events that the caller pulls.
#pragma once

#include "agent/agent.h"
#include "agent/event_queue.h"
#include "agent/outcome.h"
#include "agent/output_retry.h"
#include "agent/pending_calls.h"
#include "agent/run_request.h"
#include "agent/server_step.h"
#include "agent/summary_step.h"
#include "agent/transcript.h"
#include "agent/turn_log.h"
#include "model/turn.h"

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace luup {

// Turns are begun, and built-in tools called, in a thread of the caller that is inside next(), wait() or a method that
// moves the run on. A turn that takes long to begin is begun again in a thread of its own: so the caller can wait with
// a timeout, and cancel. Answers arrive in the engine's thread, or in the one that pushes a server's chunks.
//
// Locks, in this order: Model::use(), a ChatCompletionStream's, the run's, the agent's. begin_turn() and what it calls
// hold use() but not the run's mutex: the state Answering keeps other threads from beginning the same turn, and
// they own transcript_.base, summary_ and turn_ until the turn is submitted.
class Run : public TurnListener, public std::enable_shared_from_this<Run> {
  public:
    // Checks the request and begins the first turn, or hands out again the calls that the conversation ends with.
    // Throws Error.
    static std::shared_ptr<Run> start(std::shared_ptr<Agent> agent, RunRequest request);

    // Returns what the model would get first of a run with this request, without beginning one. Throws Error.
    static TurnPrompt preview(std::shared_ptr<Agent> agent, RunRequest request);

    // For start() and preview().
    Run(std::shared_ptr<Agent> agent, RunRequest request);

    // See the luup_run functions of the same names. The texts of `event` are valid until the next call.
    void next(int32_t timeout_ms, luup_event * event);
    bool wait(int32_t timeout_ms);
    void set_wakeup_fd(intptr_t fd);
    void set_waker(std::shared_ptr<Waker> waker, uint64_t tag, bool for_text);
    void submit_tool_result(const std::string & call_id, const std::string & content, bool is_error);
    void fail_tool_call(const std::string & call_id, const std::string & content);
    void review_output(const std::optional<std::string> & problem);
    void submit_summary(const std::optional<std::string> & summary);
    bool push_chunk(const std::string & chunk);
    void end_completion(const Failure & failure);
    void suspend();
    void stop_thinking();
    void cancel();

    // Whether submit_tool_result() would take a result for the call.
    bool waits_for(const std::string & call_id) const;

    // The messages that the run has added so far; of a run that has failed, all that a history needs to go on from.
    std::vector<Message> messages() const;

    // The requests to a model that have ended, from number `first` on, as luup_run_get_turns() has them.
    nlohmann::ordered_json turns(size_t first) const;

    const Agent &      agent() const { return *agent_; }
    const RunRequest & request() const { return request_; }

    // From the engine's thread, or from the one that pushes a server's chunks.
    void on_answer_progress(int32_t done, int32_t total) override;
    void on_answer_text(const std::string & reasoning, const std::string & text, int32_t tokens) override;
    void on_answer_logprobs(const std::string & entries) override;
    void on_answer_end(AnswerResult answer, luup_finish_reason reason, const Failure & failure,
                       const Metrics & metrics) override;
    void on_scores(const std::vector<double> & scores, const Failure & failure, const Metrics & metrics) override;
    void on_summary(const std::string & text, const Failure & failure, const Metrics & metrics);

  private:
    enum class State {
        Answering,  // a turn is being begun, the engine answers one, or a thread calls built-in tools
        Requested,  // the host exchanges a request with a server
        Builtins,  // built-in tools have to be called by a thread of the caller
        Tools,  // the host has calls to answer
        Review,  // the host has an output to review
        Summary,  // the host has a summary to write
        Next,  // the next turn has to be begun by a thread of the caller
        Ended
    };

    // The turn under way.
    struct Turn {
        std::shared_ptr<ModelTurn> model_turn;  // the last one that was submitted; null: none, or it failed
        size_t                     candidate = 0;  // the index of the model that answers
        bool                       reported  = false;  // something of it went to the caller: no other model may answer
        bool                       admitted  = false;  // the engine has accepted a turn of this run
        std::string                text;  // of the answer under way, as far as the caller gets it
        std::string                reasoning;  // likewise
        std::string                logprobs;  // of the text that the caller gets next
        TokenizedText              prompt;  // of the last turn
        Metrics                    counts;  // of the request under way, as far as they are known
    };

    // Beginning a turn, without the mutex.
    void        begin_turn(bool aside);
    void        begin_next(bool aside);
    void        begin_aside();
    bool        hold_weights(bool aside);
    bool        leave_media(bool aside);
    void        ask_model();
    TurnRequest turn_request();
    std::string tool_choice() const;
    bool        begin_summary(size_t prompt_tokens);
    bool        finish_summary();
    void        ask_for_summary();
    void        schedule(TurnRequest & request) const;
    void        submit(std::shared_ptr<ModelTurn> turn, bool is_answer, TurnPrompt prompt, double began);
    TurnPrompt  shown_prompt(const ModelTurn & turn) const;
    TurnPrompt  first_prompt();

    // Takes an answer with `body`. An exception, for which the engine has no use, ends the run. The mutex is held.
    template <typename Body> void guarded(Body body) {
        try {
            body();
        } catch (...) {
            finish(LUUP_FINISH_NONE, current_failure());
        }
    }

    // With the mutex held; advance() and wait_for_change() release it for a while.
    void              advance(std::unique_lock<std::mutex> & lock);
    void              wait_for_change(std::condition_variable & changed, std::unique_lock<std::mutex> & lock,
                                      Clock::time_point until);
    void              call_builtins(std::unique_lock<std::mutex> & lock);
    Clock::time_point deadline() const;
    bool              is_late() const;
    bool              waits_for_host() const;
    bool              waits_for_caller() const { return state_ == State::Next || state_ == State::Builtins; }
    bool              fall_back(const Failure & failure);
    void    add_answer(const AnswerResult & answer, const std::string & content, const std::vector<ToolCall> & calls);
    void    take_answer(AnswerResult & answer, luup_finish_reason reason, const Failure & failure,
                        const Metrics & metrics);
    void    take_summary(const std::string & text, const Failure & failure, const Metrics & metrics);
    void    take_calls(AnswerResult & answer);
    void    take_output(const AnswerResult & answer);
    void    reject(const std::string & output, const std::string & problem);
    void    await_results(const std::vector<ToolCall> & calls);
    void    hand_out_calls();
    void    commit_results();
    void    next_turn();
    void    enter(State state);
    void    enter_next();
    void    push(Event event);
    Metrics counts() const;
    void    push_text(const std::string & text);
    void    push_held_text(const AnswerResult & answer);
    void    answer_call(const std::string & call_id, const std::string & content, bool is_error);
    void    end(const Failure & failure);
    void    finish(luup_finish_reason reason, const Failure & failure);
    void    break_off_turn(const Failure & failure);
    void    complete_transcript();

    SingleModel & model() const { return agent_->model().candidate(turn_.candidate); }

    const std::shared_ptr<Agent> agent_;
    RunRequest                   request_;  // constant once start() has begun the run
    const Clock::time_point      started_ = Clock::now();

    mutable std::mutex      mutex_;  // guards all below, but see above
    std::condition_variable state_changed_;
    State                   state_ = State::Next;
    std::atomic<bool>       ended_{ false };  // state_ is Ended; read without the mutex
    bool                    slow_ = false;  // the turn takes long to begin: a thread of its own does it
    EventQueue              events_;
    Transcript              transcript_;
    PendingCalls            calls_;
    OutputRetry             retry_;
    SummaryStep             summary_;
    Turn                    turn_;
    Hold                    weights_;  // of the model that answers, until the end
    ServerStep              server_;
    Outcome                 outcome_;
    TurnLog                 log_;
};

}  // namespace luup
