// How a run begins a turn: the summary that may have to come first, and what the model is asked for.
#include "agent/run.h"

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <system_error>
#include <thread>
#include <utility>

namespace luup {

namespace {

// How long a thread of the caller may take to begin a turn, before it is begun again in a thread of its own.
constexpr std::chrono::milliseconds patience{ 100 };

// Hands the model's summary to the run.
class SummaryListener : public TurnListener {
  public:
    explicit SummaryListener(std::shared_ptr<Run> run) : run_(std::move(run)) {}

    void on_answer_progress(int32_t, int32_t) override {}
    void on_answer_text(const std::string &, const std::string &, int32_t) override {}
    void on_scores(const std::vector<double> &, const Failure &, const Metrics &) override {}

    void on_answer_end(AnswerResult answer, luup_finish_reason, const Failure & failure,
                       const Metrics & metrics) override {
        const auto run = std::move(run_);
        // A model that wrote only reasoning has written the summary there.
        run->on_summary(answer.content.empty() ? answer.reasoning : answer.content, failure, metrics);
    }

  private:
    std::shared_ptr<Run> run_;  // until the end: the run holds the turn that holds this
};

}  // namespace

// Asks the model for the next answer. A fallback's model that refuses the turn is replaced by the next one, which the
// caller has to ask: the state is then Next. So it is if this takes long, unless this thread does it `aside`.
void Run::begin_turn(bool aside) {
    const auto           begun      = Clock::now();
    bool                 takes_long = false;
    const InterruptScope scope([&]() -> std::optional<Failure> {
        if (ended_) {
            return Failure{ LUUP_ERROR_CANCELLED, "the run was cancelled" };
        }
        if (agent_->model().closing()) {
            return Failure{ LUUP_ERROR_CLOSED, "the model was closed" };
        }
        if (is_late()) {
            return Failure{ LUUP_ERROR_TIMED_OUT, "the run's timeout passed" };
        }
        takes_long = !aside && Clock::now() - begun > patience;
        return takes_long ? std::make_optional(Failure{ LUUP_ERROR_CANCELLED, "the turn takes long to begin" })
                          : std::nullopt;
    });
    turn_.reported = false;
    try {
        const auto in_use = agent_->model().use_candidate(turn_.candidate);
        if (hold_weights(aside) && !leave_media(aside)) {
            ask_model();
        }
    } catch (...) {
        const Failure                failure = current_failure();
        std::unique_lock<std::mutex> lock(mutex_);
        if (takes_long) {
            slow_ = true;
            if (state_ != State::Ended) {
                enter_next();
            }
        } else if (!fall_back(failure)) {
            throw;
        }
    }
}

// Keeps the model's weights in memory until the run ends; loads them if they were unloaded. That takes long: without
// `aside`, returns false and leaves it to a thread of its own.
bool Run::hold_weights(bool aside) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (weights_) {
        return true;
    }
    if (!aside && !model().ready()) {
        if (state_ != State::Ended) {
            enter_next();
        }
        return false;
    }
    lock.unlock();
    Hold weights = model().hold();
    lock.lock();
    if (state_ != State::Ended) {
        weights_ = std::move(weights);
    }
    return true;
}

// Decoding and encoding pictures takes long: without `aside`, returns true and leaves it to a thread of its own.
bool Run::leave_media(bool aside) {
    const auto has_files = [](const Message & m) { return !m.attachments.empty(); };
    const auto any       = [&](const std::vector<Message> & messages) {
        return std::any_of(messages.begin(), messages.end(), has_files);
    };
    if (aside || !model().encodes_media() || !(any(transcript_.base) || any(transcript_.added))) {
        return false;
    }
    std::lock_guard<std::mutex> lock(mutex_);
    slow_ = true;
    if (state_ != State::Ended) {
        enter_next();
    }
    return true;
}

// Begins the next turn, and ends the run if that fails.
void Run::begin_next(bool aside) {
    try {
        const auto in_use = agent_->model().use();
        begin_turn(aside);
    } catch (...) {
        const Failure               failure = current_failure();
        std::lock_guard<std::mutex> lock(mutex_);
        finish(LUUP_FINISH_NONE, failure);
    }
}

// Begins the next turn in a thread of its own, or here if none can be started.
void Run::begin_aside() {
    try {
        std::thread([run = shared_from_this()] {
            const volatile int exceptions = std::uncaught_exceptions();  // allocates now what an exception needs
            (void) exceptions;
            run->begin_next(true);
        }).detach();
    } catch (const std::system_error &) {
        begin_next(true);
    }
}

void Run::ask_model() {
    const double began = seconds_since(started_);
    if (summary_.under_way() && !finish_summary()) {
        return;
    }
    TurnRequest request = turn_request();
    server_.force(request, model().types_forced_calls());
    const size_t messages = request.messages.size() - retry_.messages().size();
    const auto   turn     = model().prepare(std::move(request));
    if (begin_summary(turn->prompt_tokens())) {
        return;
    }
    if (turn->prompt_tokens() >= static_cast<size_t>(model().context_size())) {
        fail(LUUP_ERROR_CONTEXT_FULL,
             "the prompt has %zu tokens with the system prompt, %zu messages and %zu tools; the context holds %d%s",
             turn->prompt_tokens(), messages, request_.tools->tools().size(), model().context_size(),
             summary_.gave_up() ? ", and it could not be summarized" : "");
    }
    TurnPrompt shown = shown_prompt(*turn);
    turn->make_answer(shared_from_this());
    submit(turn, true, std::move(shown), began);
}

// Returns the prompt of a turn for the log, empty unless it is asked for.
TurnPrompt Run::shown_prompt(const ModelTurn & turn) const {
    return request_.record_prompts ? turn.prompt() : TurnPrompt();
}

TurnRequest Run::turn_request() {
    TurnRequest request;
    request.messages = transcript_.prompt();
    request.messages.insert(request.messages.end(), retry_.messages().begin(), retry_.messages().end());
    if (request_.raw_prompt) {
        request.raw_prompt = std::move(request.messages.back().content);
        request.messages   = {};
    }
    request.tools          = request_.tools;
    request.tool_choice    = tool_choice();
    request.parallel_calls = request_.parallel_calls;
    request.output         = request_.output;
    request.sampling       = request_.sampling;
    request.confidence     = request_.confidence;
    request.choices        = request_.choices;
    if (!request.tools->empty() && request.tool_choice != "none") {
        request.said          = transcript_.said();
        request.earlier_calls = transcript_.calls_since_question();
    }
    if (request_.output && !server_.insists()) {
        describe_output(request.messages, *request_.output);
    }
    if (&model() == &agent_->model() && !request_.raw_prompt) {  // the models of a fallback have no agent of their own
        request.shared_prefix = [this](const ChatTemplate & chat) {
            return agent_->prefix(chat, *request_.system_prompt, request_.tools);
        };
    }
    request.last_prompt = &turn_.prompt;
    request.owner       = agent_->id();
    schedule(request);
    return request;
}

// Fills in the fields that all requests of this run share.
void Run::schedule(TurnRequest & request) const {
    request.priority = request_.priority;
    if (request_.timeout_ms >= 0) {
        request.deadline = started_ + std::chrono::milliseconds(request_.timeout_ms);
    }
    if (outcome_.turns == 0 && !summary_.begun()) {
        request.begun = started_;
    }
}

// A tool that was asked for has to be called in the first turn; then the model is free to answer.
std::string Run::tool_choice() const {
    const bool first = outcome_.turns == 0 || (transcript_.calls.empty() && retry_.any());
    return first || request_.tool_choice == "none" ? request_.tool_choice : "auto";
}

// Lets the next of a fallback's models answer the turn under way, unless the caller has seen something of it or the
// failure is not the model's. The mutex is held.
bool Run::fall_back(const Failure & failure) {
    const bool ours = failure.code == LUUP_ERROR_CANCELLED || failure.code == LUUP_ERROR_INVALID_PARAM || is_late();
    if (ours || turn_.reported || turn_.candidate + 1 >= agent_->model().candidates()) {
        return false;
    }
    log_write(LUUP_LOG_WARN, "the model " + model().name() + " failed, and the next one answers: " + failure.message);
    break_off_turn(failure);
    turn_.candidate++;
    turn_.model_turn.reset();
    weights_.reset();
    server_.reset();
    enter_next();
    return true;
}

// Hands a turn to the engine, or its request to the host.
void Run::submit(std::shared_ptr<ModelTurn> turn, bool is_answer, TurnPrompt prompt, double began) {
    const auto * exchange = turn->exchange();
    {
        std::lock_guard<std::mutex> lock(mutex_);
        if (state_ == State::Ended) {
            return;
        }
        outcome_.turns += is_answer;
        turn_.text.clear();
        turn_.reasoning.clear();
        turn_.logprobs.clear();
        if (outcome_.turns == 1 && is_answer && summary_.begun()) {
            outcome_.summary_seconds = seconds_since(started_);
        }
        turn_.model_turn           = turn;
        turn_.counts               = {};
        turn_.counts.prompt_tokens = static_cast<int32_t>(turn->submitted_tokens());
        if (request_.choices.empty()) {
            log_.begin(model().name(), is_answer, std::move(prompt), began, seconds_since(started_));
        }
        if (exchange) {
            server_.open(exchange->answer);
            enter(State::Requested);
            push(Event::completion_request(exchange->body, turn_.candidate));
        } else {
            state_ = State::Answering;
        }
    }
    turn->start(turn_.admitted);
}

// ---------------------------------------------------------------------------------------------------------------------
// The summary before a turn
// ---------------------------------------------------------------------------------------------------------------------

// Begins a summary if a prompt of so many tokens gives cause to one. The turn then has to wait.
bool Run::begin_summary(size_t prompt_tokens) {
    if (summary_.begun() || !request_.choices.empty() ||
        !summary_.plan(model(), transcript_, request_, agent_->summarization().settings(), prompt_tokens)) {
        return false;
    }
    ask_for_summary();
    return true;
}

// Inserts a summary that is complete, or asks for its next step. Returns whether the turn may begin.
bool Run::finish_summary() {
    if (!summary_.done()) {
        ask_for_summary();
        return false;
    }
    const auto                  inserted = summary_.insert(transcript_);
    std::lock_guard<std::mutex> lock(mutex_);
    push(Event::summarized(inserted.summary, inserted.replaced, inserted.messages));
    return true;
}

// Asks the host for the whole summary, or the model for one step of it.
void Run::ask_for_summary() {
    if (summary_.by_host()) {
        std::lock_guard<std::mutex> lock(mutex_);
        if (state_ != State::Ended) {
            enter(State::Summary);
            push({ LUUP_EVENT_SUMMARY_REQUEST, to_json(summary_.old()).dump() });
        }
        return;
    }
    const double began   = seconds_since(started_);
    TurnRequest  request = summary_.request(request_.sampling.seed);
    schedule(request);
    const auto turn = model().prepare(std::move(request));
    if (turn->prompt_tokens() >= static_cast<size_t>(model().context_size())) {
        fail(LUUP_ERROR_CONTEXT_FULL,
             "the conversation can't be summarized: a step of it has %zu tokens; the context holds %d",
             turn->prompt_tokens(), model().context_size());
    }
    TurnPrompt shown = shown_prompt(*turn);
    turn->make_answer(std::make_shared<SummaryListener>(shared_from_this()));
    submit(turn, false, std::move(shown), began);
}

void Run::on_summary(const std::string & text, const Failure & failure, const Metrics & metrics) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (state_ != State::Ended) {
        guarded([&] { take_summary(text, failure, metrics); });
    }
}

void Run::take_summary(const std::string & text, const Failure & failure, const Metrics & metrics) {
    server_.close();
    turn_.counts = {};
    summary_.count(metrics);
    AnswerResult answer;
    answer.raw = answer.content = text;
    log_.end(answer, LUUP_FINISH_STOP, failure, metrics, seconds_since(started_));
    if (failure.code == LUUP_ERROR_CANCELLED || failure.code == LUUP_ERROR_TIMED_OUT ||
        failure.code == LUUP_ERROR_CLOSED) {
        finish(LUUP_FINISH_NONE, failure);
        return;
    }
    summary_.take(text, failure);
    enter_next();
}

}  // namespace luup
