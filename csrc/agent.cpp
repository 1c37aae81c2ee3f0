#include "agent.h"

#include "error.h"
#include "log.h"
#include "run.h"
#include "saved_agent.h"

#include <algorithm>
#include <atomic>

namespace luup {

namespace {

using json = nlohmann::ordered_json;

std::atomic<uint64_t> last_id{ 0 };

void check(const RunRequest & request) {
    request.sampling.check();
    if (request.timeout_ms < -1) {
        fail(LUUP_ERROR_INVALID_PARAM, "timeout_ms must be at least 0, or -1 for none, not %lld", static_cast<long long>(request.timeout_ms));
    }
    if (request.message && request.message->content.empty()) {
        fail(LUUP_ERROR_INVALID_PARAM, "message is empty");
    }
    if (request.priority < -1000 || request.priority > 1000) {
        fail(LUUP_ERROR_INVALID_PARAM, "priority must be from -1000 to 1000, not %d", request.priority);
    }
    if (request.max_turns < 1 || request.max_turns > 1000) {
        fail(LUUP_ERROR_INVALID_PARAM, "max_turns must be from 1 to 1000, not %d", request.max_turns);
    }
    if (request.output_retries < 0 || request.output_retries > 100) {
        fail(LUUP_ERROR_INVALID_PARAM, "output_retries must be from 0 to 100, not %d", request.output_retries);
    }
    for (size_t i = 0; i < request.choices.size(); i++) {
        if (request.choices[i].empty()) {
            fail(LUUP_ERROR_INVALID_PARAM, "choices[%zu] is empty", i);
        }
    }
    if (!request.choices.empty() && request.output) {
        fail(LUUP_ERROR_INVALID_PARAM, "choices are scored as they are: there can be no output_schema");
    }
}

}  // namespace

Agent::Agent(std::shared_ptr<Model> model, std::string system_prompt, Sampling sampling, bool enable_history)
    : id_(++last_id),
      model_(std::move(model)),
      vocab_(model_->vocab()),
      system_prompt_(std::move(system_prompt)),
      sampling_(std::move(sampling)),
      enable_history_(enable_history),
      tools_(std::make_shared<const ToolSet>(std::vector<Tool>())) {
    sampling_.check();
}

Agent::~Agent() {
    if (!model_->forked()) {
        for (Model * local : model_->locals()) {
            if (!local->forked()) {
                local->engine().disown(id_);
            }
        }
    }
}

void Agent::save(const std::string & path, const std::string & extra) const {
    const auto               in_use = model_->use();
    SavedAgent               saved;
    std::vector<llama_token> tokens;
    {
        std::lock_guard<std::mutex> lock(mutex_);
        check_idle();
        saved.history = history_;
        if (!history_.empty() && model_->vocab()) {  // some templates can't render a system prompt alone
            tokens = conversation_tokens();
        }
    }
    saved.system_prompt = system_prompt_;
    saved.extra         = extra;
    saved.key           = model_->context_key();
    if (!tokens.empty()) {
        saved.sequence = model_->engine().snapshot(id_, tokens);
    }
    write_agent(path, saved);
}

std::shared_ptr<Agent> Agent::load(std::shared_ptr<Model> model, const std::string & path, Sampling sampling, std::string & extra) {
    const auto  in_use = model->use();
    SavedAgent  saved  = read_agent(path);
    const auto  agent  = std::make_shared<Agent>(model, saved.system_prompt, std::move(sampling), true);
    std::string why    = saved.damage;
    if (saved.sequence && saved.key != model->context_key()) {
        why = "it was saved with another model, template or build";
    } else if (saved.sequence) {
        saved.sequence->owner = agent->id_;
        why                   = model->engine().adopt(std::move(*saved.sequence)) ? "" : "there is no room for it in cache_ram";
    }
    if (!why.empty()) {
        log_write(LUUP_LOG_WARN, path + ": the conversation will be computed again: " + why);
    }
    agent->history_ = std::move(saved.history);
    extra           = std::move(saved.extra);
    return agent;
}

std::shared_ptr<Agent> Agent::fork(const std::shared_ptr<Model> & model) const {
    auto                        fork = std::make_shared<Agent>(model, system_prompt_, sampling_, enable_history_);
    std::lock_guard<std::mutex> lock(mutex_);
    fork->history_       = history_;
    fork->tools_         = model == model_ ? tools_ : std::make_shared<const ToolSet>(tools_->tools());  // what is compiled is for one model
    fork->builtins_      = builtins_;
    fork->summarization_ = std::make_shared<Summarization>(summarization_->settings());
    const auto tool      = std::find_if(builtins_.begin(), builtins_.end(), [](const Tool & t) { return t.name == Summarization::tool_name; });
    if (tool != builtins_.end()) {  // the fork's own
        fork->remove(Summarization::tool_name);
        fork->add_builtins({ Summarization::make_tool(fork->summarization_) });
    }
    return fork;
}

void Agent::check_idle() const {
    if (enable_history_ && runs_ > 0) {
        fail(LUUP_ERROR_BUSY, "the agent is answering another message; wait for that run's end, cancel it, or use another agent");
    }
}

std::vector<Message> Agent::conversation() const {
    std::vector<Message> messages;
    if (!system_prompt_.empty()) {
        messages.push_back({ "system", system_prompt_, "", {}, "", "" });
    }
    messages.insert(messages.end(), history_.begin(), history_.end());
    return messages;
}

std::shared_ptr<Run> Agent::start(RunRequest request) {
    check(request);
    const auto                   in_use = model_->use();
    std::unique_lock<std::mutex> lock(mutex_);
    check_idle();
    if (!request.tools) {
        request.tools = tools_;
    }
    if (request.tool_choice == "required" && request.tools->empty()) {
        fail(LUUP_ERROR_INVALID_PARAM, "tool_choice is \"required\", but there are no tools");
    }
    if (request.tool_choice != "auto" && request.tool_choice != "required" && request.tool_choice != "none") {
        request.tools->only(request.tool_choice);  // throws if it is no tool
    }
    const auto waiting = unanswered_calls(history_);
    if (request.message && !waiting.empty()) {
        fail(LUUP_ERROR_INVALID_PARAM, "%zu tool calls wait for their results: begin without a message to go on with them", waiting.size());
    }
    const bool answerable = !history_.empty() && (history_.back().role != "assistant" || !waiting.empty());
    if (!request.message && !answerable) {
        fail(LUUP_ERROR_INVALID_PARAM, "without a message the history must end with one of the user, or with tool calls or their results");
    }
    auto run = std::make_shared<Run>(shared_from_this(), std::move(request), conversation());
    runs_++;
    lock.unlock();  // a run that ends takes this mutex with its own held
    try {
        run->start();
    } catch (...) {
        run->cancel();  // what the engine has of it already, too
        throw;
    }
    return run;
}

void Agent::on_run_end(const std::vector<Message> * base, const std::vector<Message> & added) {
    std::lock_guard<std::mutex> lock(mutex_);
    runs_--;
    if (enable_history_) {
        if (base) {
            history_ = *base;
        }
        history_.insert(history_.end(), added.begin(), added.end());
    }
}

void Agent::register_tool(Tool tool) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (tools_->find(tool.name)) {
        fail(LUUP_ERROR_INVALID_PARAM, "the agent has a tool \"%s\" already", tool.name.c_str());
    }
    std::vector<Tool> tools = tools_->tools();
    tools.push_back(std::move(tool));
    tools_ = std::make_shared<const ToolSet>(std::move(tools));
}

void Agent::unregister_tool(const std::string & name) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!tools_->find(name)) {
        fail(LUUP_ERROR_TOOL_NOT_FOUND, "the agent has no tool \"%.80s\"", name.c_str());
    }
    remove(name);
}

void Agent::remove(const std::string & name) {
    const auto        named = [&](const Tool & tool) { return tool.name == name; };
    std::vector<Tool> tools = tools_->tools();
    tools.erase(std::remove_if(tools.begin(), tools.end(), named), tools.end());
    builtins_.erase(std::remove_if(builtins_.begin(), builtins_.end(), named), builtins_.end());
    tools_ = std::make_shared<const ToolSet>(std::move(tools));
}

void Agent::add_builtins(const std::vector<Tool> & added) {
    std::lock_guard<std::mutex> lock(mutex_);
    std::vector<Tool>           tools = tools_->tools();
    for (const Tool & tool : added) {
        if (tools_->find(tool.name)) {
            fail(LUUP_ERROR_INVALID_PARAM, "the agent has a tool \"%s\" already", tool.name.c_str());
        }
        tools.push_back(tool);
    }
    tools_ = std::make_shared<const ToolSet>(std::move(tools));
    builtins_.insert(builtins_.end(), added.begin(), added.end());
}

void Agent::enable_summarization(const Summarization::Settings & settings, bool with_tool) {
    const std::string name = Summarization::tool_name;
    summarization_->set(settings);
    std::unique_lock<std::mutex> lock(mutex_);
    const Tool *                 tool = tools_->find(name);
    const bool                   has  = tool && tool->builtin;
    if (has && !with_tool) {
        remove(name);
    }
    lock.unlock();
    if (with_tool && !has) {
        add_builtins({ Summarization::make_tool(summarization_) });
    }
}

json Agent::call_builtin(const std::string & name, const std::string & arguments) const {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto                   found = std::find_if(builtins_.begin(), builtins_.end(), [&](const Tool & tool) { return tool.name == name; });
    if (found == builtins_.end()) {
        if (name == Summarization::tool_name) {  // works whether the model is offered it or not
            lock.unlock();
            return luup::call_builtin(Summarization::make_tool(summarization_), arguments);
        }
        fail(LUUP_ERROR_TOOL_NOT_FOUND, "the agent has no built-in tool \"%.80s\"", name.c_str());
    }
    const Tool tool = *found;
    lock.unlock();  // a file may have to be waited for
    return luup::call_builtin(tool, arguments);
}

std::shared_ptr<const ToolSet> Agent::tools() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return tools_;
}

std::shared_ptr<const ToolSet> Agent::parse_tools(const std::string & text) {
    std::unique_lock<std::mutex> own(mutex_);
    const std::vector<Tool>      builtins = builtins_;
    own.unlock();
    std::string key;  // tools with the same definitions are different ones if the built-in ones are
    for (const Tool & tool : builtins) {
        key += tool.name + "\n";
    }
    std::lock_guard<std::mutex> lock(recent_mutex_);
    return recent_tools_.get(key + text, [&](const std::string &) { return ToolSet::parse(text, builtins); });
}

std::shared_ptr<const OutputFormat> Agent::parse_output(const std::string & schema) {
    std::lock_guard<std::mutex> lock(recent_mutex_);
    return recent_outputs_.get(schema, [&](const std::string & s) { return make_output_format(s, vocab_); });
}

void Agent::add_message(const std::string & role, const std::string & content) {
    check_role(role);
    std::lock_guard<std::mutex> lock(mutex_);
    check_idle();
    if (!unanswered_calls(history_).empty()) {
        fail(LUUP_ERROR_INVALID_PARAM, "the history ends with tool calls that wait for their results");
    }
    history_.push_back({ role, content, "", {}, "", "" });
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
    const auto                  in_use = model_->use_local("counting the tokens of a prompt");
    std::lock_guard<std::mutex> lock(mutex_);
    if (!message) {
        return conversation_tokens();
    }
    std::vector<Message> messages = conversation();
    messages.push_back({ "user", *message, "", {}, "", "" });
    return model_->chat().render(messages, offered(), true).tokens;
}

std::vector<llama_token> Agent::conversation_tokens() const {
    const std::vector<Message> messages = conversation();
    return messages.empty() ? std::vector<llama_token>() : model_->chat().render(messages, offered(), false).tokens;
}

const ToolSet * Agent::offered() const {
    return tools_->empty() ? nullptr : tools_.get();
}

luup_context_usage Agent::context() const {
    const auto                  in_use = model_->use_local("counting the tokens of a context");
    std::lock_guard<std::mutex> lock(mutex_);
    luup_context_usage          usage = {};
    const int32_t               with  = static_cast<int32_t>(compute_prefix(offered()).size());
    usage.total                       = model_->engine().context_size();
    usage.system                      = offered() ? static_cast<int32_t>(compute_prefix(nullptr).size()) : with;
    usage.tools                       = std::max(0, with - usage.system);
    if (!history_.empty()) {
        const auto all = model_->chat().render(conversation(), offered(), false).tokens;
        usage.history  = std::max(0, static_cast<int32_t>(all.size()) - with);
    }
    usage.free = std::max(0, usage.total - with - usage.history);
    return usage;
}

std::vector<llama_token> Agent::prefix(const std::shared_ptr<const ToolSet> & tools) const {
    std::lock_guard<std::mutex> lock(mutex_);
    if (prefix_tools_ != tools) {
        prefix_       = compute_prefix(tools->empty() ? nullptr : tools.get());
        prefix_tools_ = tools;
    }
    return prefix_;
}

// Some templates can't render a system prompt alone.
std::vector<llama_token> Agent::compute_prefix(const ToolSet * tools) const {
    std::vector<Message> one = conversation();
    one.resize(one.size() - history_.size());
    std::vector<Message> two = one;
    one.push_back({ "user", "a", "", {}, "", "" });
    two.push_back({ "user", "1", "", {}, "", "" });
    const ChatTemplate &     chat   = model_->chat();
    std::vector<llama_token> tokens = chat.render(one, tools, true).tokens;
    tokens.resize(common_prefix(tokens, chat.render(two, tools, true).tokens));
    return tokens;
}

}  // namespace luup
