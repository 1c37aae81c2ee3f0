// What a run asks the model for: the next turn, the scores of choices, or how the model takes to calls.
#include "run.h"

#include "error.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace luup {

namespace {

// Thoughts may take up to this part of max_tokens if something bound has to come after them.
constexpr int32_t thinking_part = 2;

// What a model that was not taught to call may write of a call before it is clear that it means it.
constexpr int32_t longest_proposal = 256;  // tokens

// A text of a choice, scored after the prompt.
class Score : public Completion {
  public:
    Score(std::shared_ptr<Run> run, size_t index) : run_(std::move(run)), index_(index) {}

    void on_progress(int32_t, int32_t) override {}
    bool on_token(llama_token) override { return true; }
    void on_end(luup_finish_reason, const Failure & failure, const Metrics & metrics) override {
        const auto run = std::move(run_);
        run->on_score(index_, failure, metrics);
    }

  private:
    std::shared_ptr<Run> run_;
    const size_t         index_;
};

}  // namespace

// Of a fallback the one whose turn it is.
Model & Run::model() const {
    const auto & alternatives = agent_->model().alternatives();
    return alternatives.empty() ? agent_->model() : *alternatives[model_index_];
}

// What was compiled for one model is made again for another one.
void Run::adopt_model() {
    if (!agent_->model().alternatives().empty()) {
        tools_  = model_index_ == 0 ? request_.tools : std::make_shared<const ToolSet>(request_.tools->tools());
        format_ = request_.output ? make_output_format(request_.output->schema->text(), model().vocab()) : nullptr;
    }
}

// A tool that was asked for is called in the first turn; then the model is free to answer.
std::string Run::tool_choice() const {
    const bool first = turns_ == 0 || (made_.empty() && retries_ > 0);
    return first || request_.tool_choice == "none" ? request_.tool_choice : "auto";
}

AnswerPlan Run::plan(const Prompt & prompt) const {
    const ChatTemplate & chat = model().chat();
    AnswerPlan           plan;
    plan.thinking     = prompt.thinking;
    plan.opening      = prompt.opening;
    plan.confidence   = request_.confidence;
    plan.jump_forward = request_.sampling.jump_forward;
    if (format_) {
        plan.schema = format_->schema;
        plan.output = format_->grammar;
    }
    const std::string choice = tool_choice();
    if (!tools_->empty() && choice != "none") {
        const bool named = choice != "auto" && choice != "required";
        plan.calls       = choice == "auto" ? AnswerPlan::Calls::Auto : AnswerPlan::Calls::Required;
        plan.parallel    = request_.parallel_calls;
        plan.made        = made_;
        plan.native      = chat.native_tools();
        plan.tools       = named ? tools_->only(choice) : tools_;
        plan.format      = chat.tool_format(*plan.tools, request_.parallel_calls);
        plan.given       = std::make_shared<const Grounding>(words_given());
    }
    if (!prompt.thinking.ends.empty()) {
        plan.think_end = chat.marker_tokens(prompt.thinking.ends.front());
        if (!prompt.thinking.start.empty()) {
            plan.think_start = chat.marker_tokens(prompt.thinking.start);
        }
    }
    if (!plan.native) {  // some of the answer's tokens are left to the text
        plan.max_proposal = request_.sampling.max_tokens > 0 ? std::min(longest_proposal, request_.sampling.max_tokens - 1) : longest_proposal;
    }
    const bool must_come = plan.output || plan.calls == AnswerPlan::Calls::Required;
    if (must_come && request_.sampling.max_tokens > 0) {
        plan.max_thinking = request_.sampling.max_tokens / thinking_part;
    }
    return plan;
}

// All that the user and the tools said: what a call's values may come from.
std::string Run::words_given() const {
    std::string text;
    for (const auto * messages : { &conversation_, &added_ }) {
        for (const Message & m : *messages) {
            text += m.role == "user" || m.role == "tool" ? m.content + "\n" : "";
        }
    }
    return text;
}

// Asks the model for the next answer to what was said so far; of a fallback's models the first one that takes it. Model::use() is held, mutex_ is not.
void Run::begin_turn() {
    told_ = false;
    if (agent_->model().alternatives().empty()) {
        ask_model();
        return;
    }
    try {
        const auto in_use = model().use();
        adopt_model();
        ask_model();
    } catch (...) {
        const Failure                failure = current_failure();
        std::unique_lock<std::mutex> lock(mutex_);
        if (!fall_back(failure)) {
            throw;
        }
    }
}

void Run::ask_model() {
    if (!take_summary()) {
        return;
    }
    std::vector<Message> messages = conversation_;
    messages.insert(messages.end(), added_.begin(), added_.end());
    messages.insert(messages.end(), rejected_.begin(), rejected_.end());
    if (request_.output && !(forced_ && forced_->insists())) {
        describe_output(messages, *request_.output);
    }
    if (model().remote()) {
        ask_remote_model(std::move(messages));
    } else {
        ask_local_model(std::move(messages));
    }
}

void Run::ask_remote_model(std::vector<Message> messages) {
    if (!request_.choices.empty()) {
        fail(LUUP_ERROR_UNSUPPORTED, "choices can't be scored by a remote model");
    }
    if (summarize(0)) {
        return;
    }
    RemoteTurn turn   = { std::move(messages), tools_, tool_choice(), request_.parallel_calls, request_.output, request_.sampling };
    const bool forced = !tools_->empty() && turn.tool_choice != "auto" && turn.tool_choice != "none";
    if (!forced || !model().remote()->takes_format()) {
        forced_.reset();
    } else if (!forced_) {
        forced_.emplace(tools_, turn.tool_choice);
    } else if (forced_->insists()) {
        turn.output = forced_->ask(turn.messages);
        turn.tools  = std::make_shared<const ToolSet>(std::vector<Tool>());
    }
    submit(turn, shared_from_this(), true);
}

// Gives the host a request for the server.
void Run::submit(const RemoteTurn & turn, std::shared_ptr<Answer::Listener> listener, bool is_turn) {
    Remote &   remote = *model().remote();
    const bool format = turn.output && remote.takes_format();
    Event      event  = { LUUP_EVENT_COMPLETION_REQUEST, remote.body(turn, format) };
    event.model_index = static_cast<int32_t>(model_index_);
    const auto answer = std::make_shared<RemoteAnswer>(std::move(listener), format, turns_ == 0 && !summarizer_ ? started_ : Clock::now());
    remote.add(answer);
    std::lock_guard<std::mutex> lock(mutex_);
    if (state_ == State::Ended) {
        return;
    }
    count_turn(is_turn);
    asked_  = false;
    remote_ = answer;
    enter(State::Requested);
    push(std::move(event));
}

// A turn goes to a model, or something that has to come before it. mutex_ is held.
void Run::count_turn(bool is_turn) {
    turns_ += is_turn;
    if (turns_ == 1 && is_turn && summarizer_) {
        before_answer_ = std::chrono::duration<double>(Clock::now() - started_).count();
    }
}

// Renders what was said so far and hands it to the engine.
void Run::ask_local_model(std::vector<Message> messages) {
    const size_t  history = messages.size() - rejected_.size();
    const Model & model   = this->model();
    Prompt        prompt  = model.chat().render(messages, tools_->empty() ? nullptr : tools_.get(), true, &prompt_);
    const int32_t total   = model.engine().context_size();
    if (summarize(prompt.tokens.size())) {
        return;
    }
    if (prompt.tokens.size() >= static_cast<size_t>(total)) {
        fail(LUUP_ERROR_CONTEXT_FULL, "the prompt has %zu tokens with the system prompt, %zu messages and %zu tools; the context holds %d%s",
             prompt.tokens.size(), history, request_.tools->tools().size(), total, gave_up_ ? ", and it could not be summarized" : "");
    }
    if (prompt.tokens.empty()) {
        fail(LUUP_ERROR_CHAT_TEMPLATE, "the chat template made an empty prompt of the messages");
    }
    Completions completions;
    if (request_.choices.empty()) {
        AnswerPlan answer     = plan(prompt);
        const auto vocabulary = answer.needed() ? model.vocabulary() : nullptr;
        completions.push_back(std::make_shared<Answer>(shared_from_this(), model.vocab(), vocabulary, std::move(prompt), std::move(answer), request_.sampling));
    } else {
        completions = scored_choices(prompt);
    }
    if (model.engine().keeps_prefixes() && &model == &agent_->model()) {  // a fallback has no prompts of its own
        completions.front()->prefix = common_prefix(agent_->prefix(request_.tools), completions.front()->prompt);
    }
    submit(completions, agent_->id(), true);
}

// Hands completions of the turn under way to the engine; what they leave in the context belongs to `owner`.
void Run::submit(const Completions & completions, uint64_t owner, bool is_turn) {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        if (state_ == State::Ended) {
            return;
        }
        state_       = State::Answering;
        completions_ = completions;
        count_turn(is_turn);
    }
    for (const auto & completion : completions) {
        completion->owner     = owner;
        completion->submitted = turns_ <= 1 && !summarizer_ ? started_ : Clock::now();
        completion->priority  = request_.priority;
        completion->admitted  = std::exchange(begun_, true);
        if (request_.timeout_ms >= 0) {
            completion->deadline = started_ + std::chrono::milliseconds(request_.timeout_ms);
        }
        model().engine().submit(completion);
    }
}

Run::Completions Run::scored_choices(const Prompt & prompt) {
    const auto  vocabulary = model().vocabulary();
    Completions completions;
    for (size_t i = 0; i < request_.choices.size(); i++) {
        auto score        = std::make_shared<Score>(shared_from_this(), i);
        score->prompt     = prompt.tokens;
        score->score_from = prompt.tokens.size();
        const auto tokens = tokenize_text(model().vocab(), request_.choices[i], false, false);
        score->prompt.insert(score->prompt.end(), tokens.begin(), tokens.end());
        if (!vocabulary->ends.empty()) {
            score->prompt.push_back(vocabulary->ends.front());
        }
        if (score->prompt.size() > static_cast<size_t>(model().engine().context_size())) {
            fail(LUUP_ERROR_CONTEXT_FULL, "the prompt and choices[%zu] have %zu tokens; the context holds %d", i, score->prompt.size(),
                 model().engine().context_size());
        }
        completions.push_back(score);
    }
    scores_.assign(completions.size(), 0);
    scores_left_ = completions.size();
    return completions;
}

}  // namespace luup
