#include "run.h"

#include "error.h"
#include "log.h"
#include "wakeup.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace luup {

namespace {

using json = nlohmann::ordered_json;

// A thread that reads text is woken for more of it no sooner than after this: each time costs a model that has decoded two tokens by then a
// twentieth of its speed. What waits on a descriptor is woken each time.
constexpr std::chrono::milliseconds text_pause{ 5 };

// How long after a run's deadline the engine may take to end it.
constexpr std::chrono::seconds grace{ 2 };

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

void add(Metrics & sum, const Metrics & m) {
    sum.prompt_tokens += m.prompt_tokens;
    sum.cached_tokens += m.cached_tokens;
    sum.recomputed_tokens += m.recomputed_tokens;
    sum.answer_tokens += m.answer_tokens;
    sum.queue_seconds += m.queue_seconds;
    sum.prefill_seconds += m.prefill_seconds;
    sum.decode_seconds += m.decode_seconds;
}

// For each enum, constant and boolean of an output, how probable what was chosen is among what could have been.
std::string confidence_of(const Schema & schema, const std::string & output, const std::vector<Guide::Certainty> & certainties) {
    json result = json::object();
    for (const Schema::Choice & choice : schema.choices(output)) {
        double sum = 0;
        for (const auto & c : certainties) {
            sum += c.begin < choice.end && c.end > choice.begin ? c.log_probability : 0;
        }
        result[choice.pointer] = std::exp(sum);
    }
    return result.dump();
}

}  // namespace

Run::Run(std::shared_ptr<Agent> agent, RunRequest request, std::vector<Message> conversation)
    : agent_(std::move(agent)),
      request_(std::move(request)),
      conversation_(std::move(conversation)),
      tools_(request_.tools),
      format_(request_.output) {
    if (request_.message) {
        added_.push_back(*request_.message);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Turns
// ---------------------------------------------------------------------------------------------------------------------

void Run::start() {
    const auto waiting = request_.message ? std::vector<ToolCall>() : unanswered_calls(conversation_);
    if (!waiting.empty()) {
        std::lock_guard<std::mutex> lock(mutex_);
        await_results(waiting);
        return;
    }
    begin_turn();
}

// What a turn needs from the caller's thread: beginning the next one, and looking at the clock. `lock` is on mutex_.
void Run::advance(std::unique_lock<std::mutex> & lock) {
    if (Clock::now() >= deadline()) {
        for (const auto & completion : completions_) {
            completion->cancelled.store(true, std::memory_order_release);
        }
        finish(LUUP_FINISH_NONE, { LUUP_ERROR_TIMED_OUT, "the run's timeout passed" });
    }
    if (state_ == State::Builtins) {
        call_builtins(lock);
    }
    while (state_ == State::Next) {  // again where a fallback's model did not take it
        state_ = State::Answering;   // no other thread begins it
        lock.unlock();
        Failure failure;
        try {
            const auto in_use = agent_->model().use();
            begin_turn();
        } catch (...) {
            failure = current_failure();
        }
        lock.lock();
        if (failure.code != LUUP_SUCCESS) {
            finish(LUUP_FINISH_NONE, failure);
        }
    }
}

// Lets the next of a fallback's models answer the turn under way, of which nothing was told yet. mutex_ is held.
bool Run::fall_back(const Failure & failure) {
    const bool ours = failure.code == LUUP_ERROR_CANCELLED || failure.code == LUUP_ERROR_INVALID_PARAM || is_late();
    if (ours || told_ || model_index_ + 1 >= agent_->model().alternatives().size()) {
        return false;
    }
    log_write(LUUP_LOG_WARN, "the model " + model().name() + " failed, and the next one answers: " + failure.message);
    model_index_++;
    remote_.reset();
    forced_.reset();
    completions_.clear();
    enter(State::Next);
    wake();
    return true;
}

bool Run::host_is_waited_for() const {
    return state_ == State::Requested || state_ == State::Tools || state_ == State::Review || state_ == State::Summary;
}

// When the caller's thread ends the run. The engine ends what it decodes by itself, unless a device of its holds it up for ever.
Clock::time_point Run::deadline() const {
    const bool none = request_.timeout_ms < 0 || waits_for_caller() || state_ == State::Ended;
    return none ? Clock::time_point::max() : started_ + std::chrono::milliseconds(request_.timeout_ms) + (host_is_waited_for() ? Clock::duration(0) : grace);
}

bool Run::is_late() const {
    return request_.timeout_ms >= 0 && Clock::now() >= started_ + std::chrono::milliseconds(request_.timeout_ms);
}

void Run::next_turn() {
    if (turns_ >= request_.max_turns) {
        finish(LUUP_FINISH_NONE, { LUUP_ERROR_MAX_TURNS, "the model still called tools after " + std::to_string(turns_) + " turns" });
        return;
    }
    enter(State::Next);
    wake();
}

// ---------------------------------------------------------------------------------------------------------------------
// From the engine's thread, or the one that pushes what a server says
// ---------------------------------------------------------------------------------------------------------------------

void Run::on_answer_progress(int32_t done, int32_t total) {
    std::lock_guard<std::mutex> lock(mutex_);
    push({ LUUP_EVENT_PROGRESS, "", done, total });
}

void Run::on_answer_text(const std::string & reasoning, const std::string & text) {
    std::lock_guard<std::mutex> lock(mutex_);
    told_ = told_ || !reasoning.empty() || !forced_;
    if (!reasoning.empty()) {
        push({ LUUP_EVENT_REASONING, reasoning });
    }
    if (!text.empty() && !forced_) {
        push({ LUUP_EVENT_TEXT, text });
    }
}

void Run::on_answer_end(AnswerResult answer, luup_finish_reason reason, const Failure & failure, const Metrics & metrics) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (state_ == State::Ended) {
        return;
    }
    remote_.reset();
    if (metrics_.answer_tokens == 0) {
        metrics_.first_token_seconds = metrics.first_token_seconds + before_answer_;
    }
    add(metrics_, metrics);
    if (failure.code == LUUP_SUCCESS && forced_ && !is_forced(answer, reason)) {
        turns_--;
        enter(State::Next);
        wake();
        return;
    }
    const bool bound = answer.bound || request_.output;
    if (failure.code != LUUP_SUCCESS) {
        if (fall_back(failure)) {
            turns_--;
        } else {
            tell_held(answer);
            finish(LUUP_FINISH_NONE, failure);
        }
    } else if (bound && reason == LUUP_FINISH_LENGTH) {
        finish(LUUP_FINISH_NONE, { LUUP_ERROR_INVALID_OUTPUT, std::string(answer.has_calls ? "a tool call" : "the output") + " was cut off after " +
                                                                  std::to_string(metrics.answer_tokens) + " tokens: max_tokens is too small for it" });
    } else if (answer.has_calls) {
        take_calls(answer);
    } else if (request_.output) {
        take_output(answer);
    } else {
        added_.push_back({ "assistant", answer.content, answer.reasoning, {}, "", "" });
        finish(reason, {});
    }
}

// Whether the answer has the call that had to come; if not, it is to be asked for. mutex_ is held.
bool Run::is_forced(AnswerResult & answer, luup_finish_reason reason) {
    const bool insisted = forced_->insists();
    const bool cut      = insisted && reason == LUUP_FINISH_LENGTH;
    answer.bound        = answer.bound || insisted;
    answer.has_calls    = answer.has_calls || cut;
    if (answer.has_calls || (insisted && forced_->take(answer))) {
        tell_held(answer);
        return true;
    }
    forced_->insist();
    return false;
}

// What a turn that has to call said besides, and was not told as it came. mutex_ is held.
void Run::tell_held(const AnswerResult & answer) {
    if (forced_ && !forced_->insists() && !answer.content.empty()) {
        push({ LUUP_EVENT_TEXT, answer.content });
    }
}

void Run::on_score(size_t index, const Failure & failure, const Metrics & metrics) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (state_ == State::Ended) {
        return;
    }
    add(metrics_, metrics);
    scores_[index] = metrics.score;
    if (failure.code != LUUP_SUCCESS) {
        finish(LUUP_FINISH_NONE, failure);
    } else if (--scores_left_ == 0) {
        push({ LUUP_EVENT_TEXT, json(scores_).dump() });
        finish(LUUP_FINISH_STOP, {});
    }
}

void Run::take_output(const AnswerResult & answer) {
    const std::string output = answer.output;
    const json        value  = json::parse(output, nullptr, false);
    const std::string problem =
        value.is_discarded() ? "the answer is not JSON" : request_.output->schema->validate(value);
    output_ = output;
    if (!problem.empty()) {
        reject(output, problem);
        return;
    }
    if (request_.confidence && answer.certainties) {
        confidence_ = confidence_of(*request_.output->schema, output, *answer.certainties);
    }
    added_.push_back({ "assistant", output, answer.reasoning, {}, "", "" });
    if (request_.review) {
        enter(State::Review);
        push({ LUUP_EVENT_OUTPUT, output });
    } else {
        finish(LUUP_FINISH_STOP, {});
    }
}

void Run::reject(const std::string & output, const std::string & problem) {
    if (retries_++ >= request_.output_retries) {
        finish(LUUP_FINISH_NONE, { LUUP_ERROR_INVALID_OUTPUT, "the output is still wrong after " + std::to_string(request_.output_retries) + " retries: " + problem });
        return;
    }
    rejected_ = { { "assistant", output, "", {}, "", "" }, { "user", "That answer is not valid: " + problem + "\nAnswer again, corrected.", "", {}, "", "" } };
    push({ LUUP_EVENT_RETRY, problem });
    enter(State::Next);
    wake();
}

// ---------------------------------------------------------------------------------------------------------------------
// Events
// ---------------------------------------------------------------------------------------------------------------------

// Text joins the text before it, and a newer progress replaces an older one: a slow reader finds little to read.
void Run::push(Event event) {
    if (state_ == State::Ended) {
        return;
    }
    const bool joins = event.type <= LUUP_EVENT_PROGRESS;
    if (joins && !events_.empty() && events_.back().type == event.type) {
        Event & last = events_.back();
        last.text += event.text;
        last.done  = event.done;
        last.total = event.total;
        return;
    }
    const bool waiting = !events_.empty();
    const bool unheard = event.type == LUUP_EVENT_TEXT && wakeup_fd_ < 0 && Clock::now() < quiet_until_;
    events_.push_back(std::move(event));
    if (!waiting && !unheard) {
        wake();
    }
}

void Run::enter(State state) {
    state_ = state;
    ready_.notify_all();
    turn_.notify_all();
}

void Run::wake() {
    ready_.notify_all();
    if (wakeup_fd_ >= 0) {
        write_wakeup(wakeup_fd_);
    }
}

// The first end counts: a run that was cancelled stays cancelled, whatever the engine says later.
void Run::finish(luup_finish_reason reason, const Failure & failure) {
    if (state_ == State::Ended) {
        return;
    }
    reason_                = reason;
    failure_               = failure;
    metrics_.total_seconds = seconds_since(started_);
    for (const Metrics & metrics : summary_metrics_) {
        add(metrics_, metrics);
    }
    const bool           success = failure.code == LUUP_SUCCESS;
    const bool           enters  = success && request_.choices.empty();
    std::vector<Message> base;
    if (enters && summarized_) {
        const bool system = !conversation_.empty() && conversation_.front().role == "system";
        base.assign(conversation_.begin() + system, conversation_.end());
        agent_->summarization().on_summarized();
    }
    agent_->on_run_end(enters && summarized_ ? &base : nullptr, enters ? added_ : std::vector<Message>());
    push({ success ? LUUP_EVENT_DONE : LUUP_EVENT_ERROR, failure.message });
    enter(State::Ended);
    pending_.clear();
    completions_.clear();
    remote_.reset();
}

void Run::next(int32_t timeout_ms, luup_event * event) {
    const auto                   until = Clock::now() + std::chrono::milliseconds(std::max(timeout_ms, 0));
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
        advance(lock);
        if (!events_.empty() || state_ == State::Ended || timeout_ms == 0 || (timeout_ms > 0 && Clock::now() >= until)) {
            break;
        }
        const auto latest = timeout_ms < 0 ? Clock::time_point::max() : until;
        wait_for_change(ready_, lock, Clock::now() < quiet_until_ ? std::min(latest, quiet_until_) : latest);
    }
    current_ = { LUUP_EVENT_NONE, "" };
    if (!events_.empty()) {
        current_ = std::move(events_.front());
        events_.pop_front();
        asked_ = asked_ || current_.type == LUUP_EVENT_COMPLETION_REQUEST;
        if (current_.type == LUUP_EVENT_TEXT) {
            quiet_until_ = Clock::now() + text_pause;
        }
    }
    *event                = {};
    event->type           = current_.type;
    event->text           = current_.text.c_str();
    event->text_length    = current_.text.size();
    event->progress_done  = current_.done;
    event->progress_total = current_.total;
    event->call_id        = current_.call_id.c_str();
    event->tool_name      = current_.tool_name.c_str();
    event->calls_left     = current_.calls_left;
    event->arguments      = current_.arguments.c_str();
    event->is_error       = current_.is_error;
    event->confidence     = "";
    event->model_index    = current_.model_index;
    if (current_.type >= LUUP_EVENT_DONE) {
        event->error               = failure_.code;
        event->finish_reason       = reason_;
        event->prompt_tokens       = metrics_.prompt_tokens;
        event->cached_tokens       = metrics_.cached_tokens;
        event->recomputed_tokens   = metrics_.recomputed_tokens;
        event->answer_tokens       = metrics_.answer_tokens;
        event->queue_seconds       = metrics_.queue_seconds;
        event->prefill_seconds     = metrics_.prefill_seconds;
        event->decode_seconds      = metrics_.decode_seconds;
        event->first_token_seconds = metrics_.first_token_seconds;
        event->total_seconds       = metrics_.total_seconds;
        event->turns               = turns_;
        event->confidence          = confidence_.c_str();
    }
}

// Until something may have changed, `until`, or the run's own deadline if only the host can move it on.
void Run::wait_for_change(std::condition_variable & changed, std::unique_lock<std::mutex> & lock, Clock::time_point until) {
    until = std::min(until, deadline());
    if (until == Clock::time_point::max()) {
        changed.wait(lock);
    } else {
        changed.wait_until(lock, until);
    }
}

bool Run::wait(int32_t timeout_ms) {
    const auto                   until = Clock::now() + std::chrono::milliseconds(std::max(timeout_ms, 0));
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
        advance(lock);
        const bool under_way = state_ == State::Requested && asked_;  // the host has the request, and waits for its end itself
        if (state_ == State::Ended || (host_is_waited_for() && !under_way) || timeout_ms == 0 || (timeout_ms > 0 && Clock::now() >= until)) {
            return state_ == State::Ended;
        }
        wait_for_change(turn_, lock, timeout_ms < 0 ? Clock::time_point::max() : until);
    }
}

void Run::set_wakeup_fd(intptr_t fd) {
    std::lock_guard<std::mutex> lock(mutex_);
    wakeup_fd_ = fd;
    if (fd >= 0 && (!events_.empty() || waits_for_caller())) {
        write_wakeup(fd);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// What the host says
// ---------------------------------------------------------------------------------------------------------------------

void Run::submit_tool_result(const std::string & call_id, const std::string & content, bool is_error) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (state_ == State::Ended) {
        return;
    }
    const auto pending =
        std::find_if(pending_.begin(), pending_.end(), [&](const PendingCall & p) { return p.call.id == call_id && !p.result; });
    if (state_ != State::Tools || pending == pending_.end()) {
        fail(LUUP_ERROR_INVALID_PARAM, "call_id \"%.80s\" is no call that waits for its result", call_id.c_str());
    }
    pending->result = is_error && content.rfind("Error", 0) != 0 ? "Error: " + content : content;
    if (std::all_of(pending_.begin(), pending_.end(), [](const PendingCall & p) { return p.result.has_value(); })) {
        commit_results();
        next_turn();
        advance(lock);
    }
}

bool Run::waits_for(const std::string & call_id) const {
    std::lock_guard<std::mutex> lock(mutex_);
    return state_ == State::Tools &&
           std::any_of(pending_.begin(), pending_.end(), [&](const PendingCall & p) { return p.call.id == call_id && !p.result; });
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
    added_.pop_back();
    reject(output_, *problem);
    advance(lock);
}

bool Run::push_chunk(const std::string & chunk) {
    std::shared_ptr<RemoteAnswer> answer;
    {
        std::lock_guard<std::mutex> lock(mutex_);
        if (state_ == State::Ended) {
            return false;
        }
        if (!remote_) {
            fail(LUUP_ERROR_INVALID_PARAM, "the run waits for no completion");
        }
        answer = remote_;
    }
    return answer->push(chunk);
}

void Run::end_completion(const Failure & failure) {
    std::shared_ptr<RemoteAnswer> answer;
    {
        std::lock_guard<std::mutex> lock(mutex_);
        if (state_ == State::Ended) {
            return;
        }
        if (!remote_) {
            if (failure.code == LUUP_SUCCESS) {
                return;  // its last chunk was the end of it
            }
            fail(LUUP_ERROR_INVALID_PARAM, "the run waits for no completion");
        }
        answer = remote_;
        if (failure.code == LUUP_ERROR_UNSUPPORTED && answer->may_drop_format()) {
            model().remote()->refuse_format();
            remote_.reset();
            turns_--;
            enter(State::Next);
            wake();
            return;
        }
    }
    answer->end(failure);
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

void Run::cancel() {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        for (const auto & completion : completions_) {
            completion->cancelled.store(true, std::memory_order_release);
            metrics_.prompt_tokens += static_cast<int32_t>(completion->prompt.size());
        }
        finish(LUUP_FINISH_NONE, { LUUP_ERROR_CANCELLED, "the run was cancelled" });
    }
    for (Model * local : agent_->model().locals()) {
        local->engine().interrupt();
    }
}

std::vector<Message> Run::messages() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return added_;
}

}  // namespace luup
