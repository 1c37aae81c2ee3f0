// Handles the answer of a turn: text and a typed output for the caller, calls for the tools.
#include "agent/run.h"

#include "base/error.h"
#include "base/json.h"

#include <cmath>
#include <set>
#include <utility>

namespace luup {

namespace {

using json = nlohmann::ordered_json;

// For each enum, constant and boolean of an output, and for an output that is one of several texts, the probability of
// the chosen value among those allowed.
std::string confidence_of(const OutputFormat & format, const std::string & output,
                          const std::vector<Guide::Certainty> & certainties) {
    std::vector<SchemaChoice> choices;
    if (format.schema) {
        choices = format.schema->choices(output);
    } else if (format.is_choice()) {
        choices = { { "", 0, output.size() } };
    }
    json result = json::object();
    for (const SchemaChoice & choice : choices) {
        double sum = 0;
        for (const auto & c : certainties) {
            sum += c.begin < choice.end && c.end > choice.begin ? c.log_probability : 0;
        }
        result[choice.pointer] = std::exp(sum);
    }
    return result.empty() ? "" : result.dump();
}

}  // namespace

void Run::on_answer_progress(int32_t done, int32_t total) {
    std::lock_guard<std::mutex> lock(mutex_);
    push(Event::progress(done, total));
}

void Run::on_answer_text(const std::string & reasoning, const std::string & text, int32_t tokens) {
    std::lock_guard<std::mutex> lock(mutex_);
    turn_.counts.answer_tokens = tokens;
    turn_.reported             = turn_.reported || !reasoning.empty() || !server_.holds_text();
    if (!reasoning.empty()) {
        push({ LUUP_EVENT_REASONING, reasoning });
    }
    if (!text.empty() && !server_.holds_text()) {
        push_text(text);
    }
}

void Run::on_answer_logprobs(const std::string & entries) {
    if (!request_.sampling.wants_logprobs()) {
        return;  // a server sends them unasked
    }
    std::lock_guard<std::mutex> lock(mutex_);
    turn_.logprobs += (turn_.logprobs.empty() || entries.empty() ? "" : ",") + entries;
}

void Run::push_text(const std::string & text) {
    Event event    = { LUUP_EVENT_TEXT, text };
    event.logprobs = std::exchange(turn_.logprobs, "");
    push(std::move(event));
}

void Run::on_answer_end(AnswerResult answer, luup_finish_reason reason, const Failure & failure,
                        const Metrics & metrics) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (state_ != State::Ended) {
        guarded([&] { take_answer(answer, reason, failure, metrics); });
    }
}

void Run::take_answer(AnswerResult & answer, luup_finish_reason reason, const Failure & failure,
                      const Metrics & metrics) {
    server_.close();
    turn_.counts = {};
    outcome_.add_turn(metrics);
    log_.end(answer, reason, failure, metrics, seconds_since(started_));
    if (failure.code != LUUP_SUCCESS) {
        if (fall_back(failure)) {
            outcome_.turns--;
        } else {
            push_held_text(answer);
            finish(LUUP_FINISH_NONE, failure);
        }
        return;
    }
    if (!server_.accept(answer, reason)) {
        log_.reject("a call is required, and the answer has none: the call is requested as a typed result");
        outcome_.turns--;
        enter_next();
        return;
    }
    push_held_text(answer);
    const bool bound = answer.bound || request_.output;
    if (bound && reason == LUUP_FINISH_LENGTH) {
        finish(LUUP_FINISH_NONE,
               { LUUP_ERROR_INVALID_OUTPUT, std::string(answer.has_calls ? "a tool call" : "the output") +
                                                " was cut off after " +
                                                std::to_string(metrics.answer_tokens - metrics.thought_tokens) +
                                                " tokens: max_tokens is too small for it" });
    } else if (answer.has_calls) {
        take_calls(answer);
    } else if (request_.output) {
        take_output(answer);
    } else {
        add_answer(answer, answer.content, {});
        finish(reason, {});
    }
}

void Run::add_answer(const AnswerResult & answer, const std::string & content, const std::vector<ToolCall> & calls) {
    transcript_.added.push_back(Message::assistant(content, answer.reasoning, calls));
    transcript_.added.back().extra = answer.extra;
    turn_.text.clear();
    turn_.reasoning.clear();
}

// Emits the buffered text of a turn that had to call a tool.
void Run::push_held_text(const AnswerResult & answer) {
    const std::string text = server_.held_text(answer);
    if (!text.empty()) {
        push_text(text);
    }
}

void Run::on_scores(const std::vector<double> & scores, const Failure & failure, const Metrics & metrics) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (state_ == State::Ended) {
        return;
    }
    guarded([&] {
        turn_.counts = {};
        add(outcome_.metrics, metrics);
        if (failure.code != LUUP_SUCCESS) {
            finish(LUUP_FINISH_NONE, failure);
        } else {
            push({ LUUP_EVENT_TEXT, json(scores).dump() });
            finish(LUUP_FINISH_STOP, {});
        }
    });
}

// ---------------------------------------------------------------------------------------------------------------------
// Typed outputs
// ---------------------------------------------------------------------------------------------------------------------

void Run::take_output(const AnswerResult & answer) {
    const OutputFormat & format = *request_.output;
    std::string          output = format.schema || answer.bound ? answer.output : answer.content;
    // A plain text that a grammar has bound is right, also where the grammar names tokens instead of texts.
    const std::string problem = answer.bound && !format.schema ? "" : format.problem(output);
    if (!problem.empty()) {
        reject(output, problem);
        return;
    }
    if (request_.confidence && answer.certainties) {
        outcome_.confidence = confidence_of(format, output, *answer.certainties);
    }
    add_answer(answer, output, {});
    if (request_.review) {
        enter(State::Review);
        push({ LUUP_EVENT_OUTPUT, output });
    } else {
        finish(LUUP_FINISH_STOP, {});
    }
}

// Reports the problem to the model and lets it answer again, as often as output_retries allows.
void Run::reject(const std::string & output, const std::string & problem) {
    log_.reject(problem);
    const Failure failure = retry_.reject(output, problem, request_.output_retries);
    if (failure.code != LUUP_SUCCESS) {
        finish(LUUP_FINISH_NONE, failure);
        return;
    }
    push({ LUUP_EVENT_RETRY, problem });
    enter_next();
}

// ---------------------------------------------------------------------------------------------------------------------
// Tool calls
// ---------------------------------------------------------------------------------------------------------------------

void Run::take_calls(AnswerResult & answer) {
    std::vector<ToolCall> & calls = answer.calls;
    if (!answer.problem.empty()) {
        reject(answer.raw, "the tool call could not be read: " + answer.problem);
        return;
    }
    if (calls.empty()) {
        finish(LUUP_FINISH_NONE, { LUUP_ERROR_INVALID_OUTPUT, "the model began a tool call and made none" });
        return;
    }
    std::optional<std::set<std::string>> server_ids;
    if (turn_.model_turn && turn_.model_turn->exchange()) {
        server_ids = call_ids(transcript_.prompt());
    }
    normalize_calls(calls, *request_.tools, server_ids);
    log_.set_calls(calls);
    add_answer(answer, answer.content, calls);
    retry_.clear();
    transcript_.calls.insert(transcript_.calls.end(), calls.begin(), calls.end());
    await_results(calls);
}

// Built-in tools may wait for files, which the engine's thread must not: a thread of the caller calls them.
void Run::await_results(const std::vector<ToolCall> & calls) {
    calls_ = PendingCalls(calls, *request_.tools);
    for (const auto & refused : calls_.refused()) {
        push(Event::refused_call(refused.call, refused.text));
    }
    if (calls_.has_builtins(*request_.tools)) {
        enter(State::Builtins);
        events_.wake();
    } else {
        hand_out_calls();
    }
}

void Run::call_builtins(std::unique_lock<std::mutex> & lock) {
    state_                   = State::Answering;  // no other thread calls them
    const PendingCalls calls = calls_;
    lock.unlock();
    const auto results = calls.call_builtins(*request_.tools);
    lock.lock();
    if (state_ == State::Ended) {
        return;
    }
    for (const auto & result : results) {
        calls_.set_result(result.index, result.text);
        push(Event::tool_result(result.call, result.text, result.is_error));
    }
    hand_out_calls();
}

// Hands the calls that have no result yet to the host.
void Run::hand_out_calls() {
    const auto calls = calls_.open();
    enter(State::Tools);
    for (size_t i = 0; i < calls.size(); i++) {
        push(Event::tool_call(calls[i], calls.size() - 1 - i));
    }
    if (calls.empty()) {
        commit_results();
        next_turn();
    }
}

void Run::commit_results() {
    const auto results = calls_.messages();
    transcript_.added.insert(transcript_.added.end(), results.begin(), results.end());
    calls_ = PendingCalls();
}

void Run::next_turn() {
    if (outcome_.turns >= request_.max_turns) {
        finish(LUUP_FINISH_NONE, { LUUP_ERROR_MAX_TURNS,
                                   "the model still called tools after " + std::to_string(outcome_.turns) + " turns" });
        return;
    }
    enter_next();
}

}  // namespace luup
