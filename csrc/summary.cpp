// What a run does when the conversation fills the context: its oldest messages give way to a summary before the next turn.
#include "run.h"

#include "error.h"
#include "log.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace luup {

namespace {

constexpr float temperature = 0.2f;

// Of a remote model: a context that it will have, in tokens, and how few bytes make one in most languages.
constexpr int32_t usual_context         = 8192;
constexpr size_t  least_bytes_per_token = 3;

// Hands the model's summary to the run.
class SummaryListener : public Answer::Listener {
  public:
    explicit SummaryListener(std::shared_ptr<Run> run) : run_(std::move(run)) {}

    void on_answer_progress(int32_t, int32_t) override {}
    void on_answer_text(const std::string &, const std::string &) override {}
    void on_answer_end(AnswerResult answer, luup_finish_reason, const Failure & failure, const Metrics & metrics) override {
        const auto run = std::move(run_);
        run->on_summary(answer.content.empty() ? answer.reasoning : answer.content, failure, metrics);  // thoughts alone tell much, too
    }

  private:
    std::shared_ptr<Run> run_;
};

bool is_blank(const std::string & text) {
    return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c <= ' '; });
}

}  // namespace

// Begins a summary if a prompt of so many tokens gives cause to it. Once in a run.
bool Run::summarize(size_t prompt_tokens) {
    if (summarizer_ || !request_.choices.empty() || !plan_summary(prompt_tokens)) {
        return false;
    }
    ask_for_summary();
    return true;
}

// How large a remote model's context is nobody tells: there is a summary only if it is asked for.
bool Run::plan_summary(size_t prompt_tokens) {
    const auto    settings = agent_->summarization().settings();
    const Model & model    = this->model();
    const bool    local    = model.vocab() != nullptr;
    const int32_t total    = local ? model.engine().context_size() : usual_context;
    const int32_t answer   = std::min(std::max(request_.sampling.max_tokens, 0), total / 2);  // room that has to be left
    const size_t  limit    = static_cast<size_t>(std::min(static_cast<int32_t>(settings.threshold * static_cast<float>(total)), total - answer));
    if (!settings.due && (!settings.enabled || prompt_tokens <= limit)) {
        return false;
    }
    const auto                 begin = conversation_.begin() + (!conversation_.empty() && conversation_.front().role == "system");
    const std::vector<Message> history(begin, conversation_.end());
    const auto                 cuts = possible_cuts(history, settings.keep, request_.message.has_value());
    if (cuts.empty()) {
        return false;
    }
    const auto rest = [&](size_t cut) -> size_t {  // what the prompt will be, the summary itself left out
        if (!local) {
            return 0;
        }
        std::vector<Message> messages(conversation_.begin(), begin);
        const auto           pair = summary_messages("");
        messages.insert(messages.end(), pair.begin(), pair.end());
        messages.insert(messages.end(), history.begin() + static_cast<std::ptrdiff_t>(cut), history.end());
        messages.insert(messages.end(), added_.begin(), added_.end());
        const Prompt prompt = model.chat().render(messages, tools_->empty() ? nullptr : tools_.get(), true);
        return prompt.tokens.size();
    };
    if (rest(cuts.back()) >= static_cast<size_t>(total)) {  // the message is too long by itself: no summary makes room for it
        return false;
    }
    const size_t room = local ? static_cast<size_t>(Summarizer::room_for_summary(total)) : 0;
    size_t       cut  = 0;
    for (const size_t candidate : { cuts.front(), cuts[cuts.size() / 2], cuts.back() }) {
        if (rest(candidate) + room <= limit) {
            cut = candidate;
            break;
        }
    }
    if (cut == 0) {  // what stays is too much by itself
        if (!settings.due && prompt_tokens + static_cast<size_t>(answer) <= static_cast<size_t>(total)) {
            return false;
        }
        cut = cuts.back();
    }
    const auto count = [&](const std::string & text) {
        return local ? tokenize_text(model.vocab(), text, false, false).size() : text.size() / least_bytes_per_token + 1;
    };
    host_summarizes_ = settings.by_host;
    summarizer_      = std::make_unique<Summarizer>(std::vector<Message>(history.begin(), history.begin() + static_cast<std::ptrdiff_t>(cut)), total, count);
    return true;
}

// The host's turn, or the model's: one step.
void Run::ask_for_summary() {
    if (host_summarizes_) {
        std::lock_guard<std::mutex> lock(mutex_);
        if (state_ != State::Ended) {
            enter(State::Summary);
            push({ LUUP_EVENT_SUMMARY_REQUEST, to_json(summarizer_->old()).dump() });
        }
        return;
    }
    const auto listener = std::make_shared<SummaryListener>(shared_from_this());
    Sampling   sampling;
    sampling.temperature = temperature;
    sampling.seed        = request_.sampling.seed;
    sampling.max_tokens  = summarizer_->max_tokens();
    const Model & model  = this->model();
    if (model.remote()) {
        submit(RemoteTurn{ summarizer_->prompt(), std::make_shared<const ToolSet>(std::vector<Tool>()), "none", false, nullptr, sampling }, listener, false);
        return;
    }
    Prompt       prompt = model.chat().render(summarizer_->prompt(), nullptr, true);
    const size_t total  = static_cast<size_t>(model.engine().context_size());
    if (prompt.tokens.size() >= total) {
        fail(LUUP_ERROR_CONTEXT_FULL, "the conversation can't be summarized: a step of it has %zu tokens; the context holds %zu", prompt.tokens.size(), total);
    }
    AnswerPlan plan;
    plan.thinking = prompt.thinking;
    submit({ std::make_shared<Answer>(listener, model.vocab(), nullptr, std::move(prompt), std::move(plan), sampling) }, 0, false);
}

// Puts the summary into the conversation, or asks for the next step of it. Whether the turn may begin.
bool Run::take_summary() {
    if (!summarizer_ || summarized_ || gave_up_) {
        return true;
    }
    if (!summarizer_->done()) {
        ask_for_summary();
        return false;
    }
    const auto    begin    = conversation_.begin() + (conversation_.front().role == "system");
    const auto    messages = summary_messages(summarizer_->summary());
    const int32_t replaced = static_cast<int32_t>(summarizer_->old().size());
    const int32_t before   = static_cast<int32_t>(conversation_.end() - begin);
    conversation_.insert(conversation_.erase(begin, begin + replaced), messages.begin(), messages.end());
    summarized_ = true;
    log_write(LUUP_LOG_INFO, "a summary took the place of the " + std::to_string(replaced) + " oldest of the conversation's " + std::to_string(before) + " messages");
    std::lock_guard<std::mutex> lock(mutex_);
    push({ LUUP_EVENT_SUMMARIZED, summarizer_->summary(), replaced, before });
    return true;
}

// From the engine's thread. Without a summary the turn begins as it would have: the prompt may still fit.
void Run::on_summary(const std::string & text, const Failure & failure, const Metrics & metrics) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (state_ == State::Ended) {
        return;
    }
    remote_.reset();
    summary_metrics_.push_back(metrics);
    if (failure.code == LUUP_ERROR_CANCELLED || failure.code == LUUP_ERROR_TIMED_OUT || failure.code == LUUP_ERROR_CLOSED) {
        finish(LUUP_FINISH_NONE, failure);
        return;
    }
    if (failure.code != LUUP_SUCCESS || !summarizer_->take(text)) {
        gave_up_ = true;
        log_write(LUUP_LOG_WARN, "the conversation could not be summarized: " + (failure.code != LUUP_SUCCESS ? failure.message : "the model wrote nothing"));
    }
    enter(State::Next);
    wake();
}

void Run::submit_summary(const std::optional<std::string> & summary) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (state_ == State::Ended) {
        return;
    }
    if (state_ != State::Summary) {
        fail(LUUP_ERROR_INVALID_PARAM, "no summary is waited for");
    }
    if (summary && is_blank(*summary)) {
        fail(LUUP_ERROR_INVALID_PARAM, "the summary is empty");
    }
    if (summary) {
        summarizer_->set_summary(*summary);
    }
    host_summarizes_ = false;
    enter(State::Next);
    wake();
    advance(lock);
}

}  // namespace luup
