// The state machine of a run: what the caller does with it, its clock and its end.
#include "agent/run.h"

#include "base/error.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace luup {

namespace {

// How long after a run's deadline the engine may take to end it.
constexpr std::chrono::seconds grace{ 2 };

// The result of a call that a failed run left without one: a history with open calls could not be continued.
constexpr char no_result[] = "Error: the run ended before this call was answered";

// Whether this code means that a run never started.
bool is_refusal(luup_error code) {
    return code == LUUP_ERROR_INVALID_PARAM || code == LUUP_ERROR_BUSY || code == LUUP_ERROR_CLOSED ||
           code == LUUP_ERROR_FORKED;
}

}  // namespace

Run::Run(std::shared_ptr<Agent> agent, RunRequest request) : agent_(std::move(agent)), request_(std::move(request)) {
    if (request_.message) {
        transcript_.added.push_back(*request_.message);
    }
}

std::shared_ptr<Run> Run::start(std::shared_ptr<Agent> agent, RunRequest request) {
    request.check();
    const auto in_use     = agent->model().use();
    const auto run        = std::make_shared<Run>(std::move(agent), std::move(request));
    run->transcript_.base = run->agent_->begin_run(run->request_);
    try {
        const auto waiting = run->request_.message ? std::vector<ToolCall>() : unanswered_calls(run->transcript_.base);
        if (waiting.empty()) {
            run->begin_turn(false);
        } else {
            std::lock_guard<std::mutex> lock(run->mutex_);
            run->await_results(waiting);
        }
    } catch (...) {
        const Failure failure = current_failure();
        run->request_.keep_on_error &= !is_refusal(failure.code);
        run->end(failure);  // the engine may have some of it already
        throw;
    }
    return run;
}

// ---------------------------------------------------------------------------------------------------------------------
// The state and the clock
// ---------------------------------------------------------------------------------------------------------------------

// Does the work that needs a thread of the caller: ends a run that is late, calls built-in tools, begins the next turn.
void Run::advance(std::unique_lock<std::mutex> & lock) {
    if (Clock::now() >= deadline()) {
        if (turn_.model_turn) {
            turn_.model_turn->cancel();
        }
        finish(LUUP_FINISH_NONE, { LUUP_ERROR_TIMED_OUT, "the run's timeout passed" });
    }
    if (state_ == State::Builtins) {
        call_builtins(lock);
    }
    while (state_ == State::Next && !events_.has_refusal()) {  // more than once if a fallback's model refuses the turn
        state_               = State::Answering;  // no other thread begins it
        const bool long_wait = slow_ || !model().ready();
        lock.unlock();
        if (long_wait) {
            begin_aside();
        } else {
            begin_next(false);
        }
        lock.lock();
    }
}

bool Run::waits_for_host() const {
    return state_ == State::Requested || state_ == State::Tools || state_ == State::Review || state_ == State::Summary;
}

// When a thread of the caller ends the run. The engine ends by itself what it decodes, unless one of its devices hangs.
Clock::time_point Run::deadline() const {
    if (request_.timeout_ms < 0 || waits_for_caller() || state_ == State::Ended) {
        return Clock::time_point::max();
    }
    return started_ + std::chrono::milliseconds(request_.timeout_ms) + (waits_for_host() ? Clock::duration(0) : grace);
}

bool Run::is_late() const {
    return request_.timeout_ms >= 0 && Clock::now() >= started_ + std::chrono::milliseconds(request_.timeout_ms);
}

void Run::enter(State state) {
    state_ = state;
    events_.notify();
    state_changed_.notify_all();
}

// The next turn waits for a thread of the caller.
void Run::enter_next() {
    enter(State::Next);
    events_.wake();
}

// Waits until something may have changed, until `until`, or until the run's own deadline, which no other thread watches
// while the run waits for the host.
void Run::wait_for_change(std::condition_variable & changed, std::unique_lock<std::mutex> & lock,
                          Clock::time_point until) {
    until = std::min(until, deadline());
    if (until == Clock::time_point::max()) {
        changed.wait(lock);
    } else {
        changed.wait_until(lock, until);
    }
}

// The first end counts: a run that was cancelled stays cancelled, whatever the engine reports later.
void Run::finish(luup_finish_reason reason, const Failure & failure) {
    if (state_ == State::Ended) {
        return;
    }
    ended_                          = true;
    outcome_.reason                 = reason;
    outcome_.failure                = failure;
    outcome_.metrics                = counts();
    outcome_.metrics.total_seconds  = seconds_since(started_);
    const bool           success    = failure.code == LUUP_SUCCESS;
    const bool           enters     = (success || request_.keep_on_error) && request_.choices.empty();
    const bool           summarized = success && enters && summary_.inserted();
    std::vector<Message> base;
    if (!success) {
        complete_transcript();
        break_off_turn(failure);
    }
    if (summarized) {
        base = transcript_.history();
        agent_->summarization().on_summarized();
    }
    const bool replaces = summarized && !request_.history;  // else the stored history was not the one that was read
    agent_->on_run_end(replaces ? &base : nullptr, enters ? transcript_.all_added() : std::vector<Message>());
    Event end    = { success ? LUUP_EVENT_DONE : LUUP_EVENT_ERROR, failure.message };
    end.logprobs = std::exchange(turn_.logprobs, "");
    push(std::move(end));
    enter(State::Ended);
    calls_ = PendingCalls();
    turn_.model_turn.reset();
    weights_.reset();
    server_.close();
}

// Logs the unfinished turn, if there is one.
void Run::break_off_turn(const Failure & failure) {
    if (log_.open()) {
        AnswerResult answer;
        answer.raw = answer.content = turn_.text;
        answer.reasoning            = turn_.reasoning;
        log_.end(answer, LUUP_FINISH_NONE, failure, turn_.counts, seconds_since(started_));
    }
}

// Adds what a failed run has begun: the results of its last calls, or its unfinished answer.
void Run::complete_transcript() {
    transcript_.last = calls_.messages(no_result);
    if (transcript_.last.empty() && request_.choices.empty() && !(turn_.text.empty() && turn_.reasoning.empty())) {
        transcript_.last.push_back(Message::assistant(turn_.text, turn_.reasoning));
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Events
// ---------------------------------------------------------------------------------------------------------------------

// Returns the counts of the ended turns, of a summary, and of the request under way.
Metrics Run::counts() const {
    Metrics sum = outcome_.metrics;
    add(sum, summary_.metrics());
    add(sum, turn_.counts);
    return sum;
}

void Run::push(Event event) {
    if (state_ == State::Ended) {
        return;
    }
    event.turns  = outcome_.turns;
    event.counts = counts();
    if (event.type == LUUP_EVENT_TEXT) {
        turn_.text += event.text;
    } else if (event.type == LUUP_EVENT_REASONING) {
        turn_.reasoning += event.text;
    }
    events_.push(std::move(event));
}

void Run::next(int32_t timeout_ms, luup_event * event) {
    const auto                   until = Clock::now() + std::chrono::milliseconds(std::max(timeout_ms, 0));
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
        advance(lock);
        if (!events_.empty() || state_ == State::Ended || timeout_ms == 0 ||
            (timeout_ms > 0 && Clock::now() >= until)) {
            break;
        }
        const auto latest = timeout_ms < 0 ? Clock::time_point::max() : until;
        const auto quiet  = events_.quiet_until();
        wait_for_change(events_.ready(), lock, Clock::now() < quiet ? std::min(latest, quiet) : latest);
    }
    const Event & current = events_.pop();
    current.write(*event);
    if (current.type == LUUP_EVENT_COMPLETION_REQUEST) {
        server_.set_taken();
    }
    if (current.type >= LUUP_EVENT_DONE) {
        outcome_.write(*event);
    }
}

bool Run::wait(int32_t timeout_ms) {
    const auto                   until = Clock::now() + std::chrono::milliseconds(std::max(timeout_ms, 0));
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
        advance(lock);
        // A host that has the request waits for its response by itself.
        const bool under_way = state_ == State::Requested && server_.taken();
        if (state_ == State::Ended || (waits_for_host() && !under_way) || events_.has_refusal() || timeout_ms == 0 ||
            (timeout_ms > 0 && Clock::now() >= until)) {
            return state_ == State::Ended;
        }
        wait_for_change(state_changed_, lock, timeout_ms < 0 ? Clock::time_point::max() : until);
    }
}

void Run::set_wakeup_fd(intptr_t fd) {
    std::lock_guard<std::mutex> lock(mutex_);
    events_.set_wakeup_fd(fd, waits_for_caller());
}

void Run::set_waker(std::shared_ptr<Waker> waker, uint64_t tag, bool for_text) {
    std::lock_guard<std::mutex> lock(mutex_);
    events_.set_waker(std::move(waker), tag, for_text, waits_for_caller() || state_ == State::Ended);
}

// ---------------------------------------------------------------------------------------------------------------------
// Submissions of the host
// ---------------------------------------------------------------------------------------------------------------------

void Run::answer_call(const std::string & call_id, const std::string & content, bool is_error) {
    const bool prefix = is_error && content.rfind("Error", 0) != 0;
    if (state_ != State::Tools || !calls_.answer(call_id, prefix ? "Error: " + content : content)) {
        fail(LUUP_ERROR_INVALID_PARAM, "call_id \"%.80s\" is not a pending call", call_id.c_str());
    }
}

void Run::submit_tool_result(const std::string & call_id, const std::string & content, bool is_error) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (state_ == State::Ended) {
        return;
    }
    answer_call(call_id, content, is_error);
    if (calls_.complete()) {
        commit_results();
        next_turn();
        advance(lock);
    }
}

void Run::fail_tool_call(const std::string & call_id, const std::string & content) {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        if (state_ == State::Ended) {
            return;
        }
        answer_call(call_id, content, true);
    }
    cancel();
}

bool Run::waits_for(const std::string & call_id) const {
    std::lock_guard<std::mutex> lock(mutex_);
    return state_ == State::Tools && calls_.waits_for(call_id);
}

void Run::review_output(const std::optional<std::string> & problem) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (state_ == State::Ended) {
        return;
    }
    if (state_ != State::Review) {
        fail(LUUP_ERROR_INVALID_PARAM, "no output waits for a review");
    }
    if (!problem) {
        finish(LUUP_FINISH_STOP, {});
        return;
    }
    const std::string output = transcript_.added.back().content;
    transcript_.added.pop_back();
    turn_.text = output;
    reject(output, *problem);
    advance(lock);
}

void Run::submit_summary(const std::optional<std::string> & summary) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (state_ == State::Ended) {
        return;
    }
    if (state_ != State::Summary) {
        fail(LUUP_ERROR_INVALID_PARAM, "the run does not wait for a summary");
    }
    summary_.take_from_host(summary);
    enter_next();
    advance(lock);
}

bool Run::push_chunk(const std::string & chunk) {
    std::shared_ptr<ChatCompletionStream> answer;
    {
        std::lock_guard<std::mutex> lock(mutex_);
        if (state_ == State::Ended) {
            return false;
        }
        answer = server_.answer();
        if (!answer) {
            fail(LUUP_ERROR_INVALID_PARAM, "the run does not wait for a completion");
        }
    }
    return answer->push(chunk);
}

void Run::end_completion(const Failure & failure) {
    std::shared_ptr<ChatCompletionStream> answer;
    std::shared_ptr<ModelTurn>            turn;
    {
        std::lock_guard<std::mutex> lock(mutex_);
        if (state_ == State::Ended) {
            return;
        }
        answer = server_.answer();
        turn   = turn_.model_turn;
        if (!answer && failure.code == LUUP_SUCCESS) {
            return;  // the last chunk has ended it already
        }
        if (!answer) {
            fail(LUUP_ERROR_INVALID_PARAM, "the run does not wait for a completion");
        }
    }
    if (failure.code != LUUP_ERROR_UNSUPPORTED || !turn || !turn->adapt(failure.message)) {
        answer->end(failure);
        return;
    }
    std::lock_guard<std::mutex> lock(mutex_);
    if (state_ == State::Requested && server_.answer() == answer) {
        break_off_turn(failure);
        turn_.counts = {};
        server_.close();
        outcome_.turns--;
        enter_next();
    }
}

void Run::suspend() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (state_ == State::Ended) {
        return;
    }
    if (state_ != State::Tools) {
        fail(LUUP_ERROR_INVALID_PARAM, "the run does not wait for tool results");
    }
    commit_results();
    finish(LUUP_FINISH_TOOL_CALLS, {});
}

void Run::stop_thinking() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (state_ == State::Ended) {
        return;
    }
    if (!model().can_stop_thinking()) {
        fail(LUUP_ERROR_UNSUPPORTED, "stop_thinking needs a model in this process; %s answers on a server",
             model().name().c_str());
    }
    if (turn_.model_turn) {
        turn_.model_turn->stop_thinking();
    }
}

void Run::cancel() {
    end({ LUUP_ERROR_CANCELLED, "the run was cancelled" });
}

void Run::end(const Failure & failure) {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        if (turn_.model_turn) {
            turn_.model_turn->cancel();
        }
        finish(LUUP_FINISH_NONE, failure);
    }
    agent_->model().interrupt();
}

nlohmann::ordered_json Run::turns(size_t first) const {
    std::lock_guard<std::mutex> lock(mutex_);
    return log_.to_json(first);
}

std::vector<Message> Run::messages() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return transcript_.all_added();
}

}  // namespace luup
