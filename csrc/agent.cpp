#include "agent.h"

#include "error.h"
#include "run.h"

#include <algorithm>
#include <atomic>

namespace luup {

namespace {

std::atomic<uint64_t> last_id{ 0 };

}  // namespace

void check_role(const std::string & role) {
    if (role != "user" && role != "assistant") {
        fail(LUUP_ERROR_INVALID_PARAM, "role must be \"user\" or \"assistant\", not \"%.40s\"", role.c_str());
    }
}

Agent::Agent(std::shared_ptr<Model> model, std::string system_prompt, Sampling sampling, bool enable_history)
    : id_(++last_id),
      model_(std::move(model)),
      vocab_(model_->vocab()),
      system_prompt_(std::move(system_prompt)),
      sampling_(std::move(sampling)),
      enable_history_(enable_history) {
    sampling_.check();
}

Agent::~Agent() {
    if (!model_->forked()) {
        model_->engine().disown(id_);
    }
}

void Agent::check_idle() const {
    if (enable_history_ && runs_ > 0) {
        fail(LUUP_ERROR_BUSY, "the agent is answering another message; wait for that run's end, cancel it, or use another agent");
    }
}

std::vector<Message> Agent::conversation() const {
    std::vector<Message> messages;
    if (!system_prompt_.empty()) {
        messages.push_back({ "system", system_prompt_, "" });
    }
    messages.insert(messages.end(), history_.begin(), history_.end());
    return messages;
}

std::shared_ptr<Run> Agent::start(const std::optional<std::string> & message, const std::optional<Sampling> & sampling, int64_t timeout_ms) {
    const Sampling & settings = sampling ? *sampling : sampling_;
    settings.check();
    if (timeout_ms < -1) {
        fail(LUUP_ERROR_INVALID_PARAM, "timeout_ms must be at least 0, or -1 for none, not %lld", static_cast<long long>(timeout_ms));
    }
    const auto                  in_use = model_->use();
    std::lock_guard<std::mutex> lock(mutex_);
    check_idle();
    std::vector<Message>   messages = conversation();
    std::optional<Message> added;
    if (message) {
        if (message->empty()) {
            fail(LUUP_ERROR_INVALID_PARAM, "message is empty");
        }
        added = Message{ "user", *message, "" };
        messages.push_back(*added);
    } else if (history_.empty() || history_.back().role != "user") {
        fail(LUUP_ERROR_INVALID_PARAM, "without a message the history must end with one of the user");
    }
    Prompt        prompt = model_->chat().render(messages, true);
    const int32_t total  = model_->engine().context_size();
    if (prompt.tokens.size() >= static_cast<size_t>(total)) {
        fail(LUUP_ERROR_CONTEXT_FULL, "the prompt has %zu tokens with the system prompt, %zu messages of history and the message; the context holds %d",
             prompt.tokens.size(), history_.size(), total);
    }
    if (prompt.tokens.empty()) {
        fail(LUUP_ERROR_CHAT_TEMPLATE, "the chat template made an empty prompt of the messages");
    }
    auto run = std::make_shared<Run>(shared_from_this(), std::move(added), std::move(prompt), settings, timeout_ms);
    model_->engine().submit(run);
    runs_++;
    return run;
}

void Agent::on_run_end(bool success, const std::optional<Message> & message, const Message & answer) {
    std::lock_guard<std::mutex> lock(mutex_);
    runs_--;
    if (success && enable_history_) {
        if (message) {
            history_.push_back(*message);
        }
        history_.push_back(answer);
    }
}

void Agent::add_message(const std::string & role, const std::string & content) {
    check_role(role);
    std::lock_guard<std::mutex> lock(mutex_);
    check_idle();
    history_.push_back({ role, content, "" });
}

void Agent::set_history(std::vector<Message> messages) {
    std::lock_guard<std::mutex> lock(mutex_);
    check_idle();
    history_ = std::move(messages);
}

std::vector<Message> Agent::history() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return history_;
}

std::vector<llama_token> Agent::prompt_tokens(const std::optional<std::string> & message) const {
    const auto                  in_use = model_->use();
    std::lock_guard<std::mutex> lock(mutex_);
    std::vector<Message>        messages = conversation();
    if (message) {
        messages.push_back({ "user", *message, "" });
    }
    return messages.empty() ? std::vector<llama_token>() : model_->chat().render(messages, message.has_value()).tokens;
}

luup_context_usage Agent::context() const {
    const auto                  in_use = model_->use();
    std::lock_guard<std::mutex> lock(mutex_);
    const ChatTemplate &        chat  = model_->chat();
    luup_context_usage          usage = {};
    usage.total                       = model_->engine().context_size();

    // The part that all conversations of this agent begin with: some templates can't render a system prompt alone.
    std::vector<Message> one = conversation();
    one.resize(one.size() - history_.size());
    std::vector<Message> two = one;
    one.push_back({ "user", "a", "" });
    two.push_back({ "user", "1", "" });
    usage.system = static_cast<int32_t>(common_prefix(chat.render(one, true).tokens, chat.render(two, true).tokens));
    if (!history_.empty()) {
        const auto all = chat.render(conversation(), false).tokens;
        usage.history  = std::max(0, static_cast<int32_t>(all.size()) - usage.system);
    }
    usage.free = std::max(0, usage.total - usage.system - usage.history);
    return usage;
}

}  // namespace luup
