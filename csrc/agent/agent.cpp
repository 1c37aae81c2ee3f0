#include "agent/agent.h"

#include "agent/saved_agent.h"
#include "base/error.h"
#include "base/log.h"
#include "engine/token_prefix.h"
#include "model/local.h"

#include <algorithm>
#include <atomic>

namespace luup {

namespace {

using json = nlohmann::ordered_json;

std::atomic<uint64_t> last_id{ 0 };

std::vector<Message> with_system_prompt(const std::string & system_prompt, const std::vector<Message> & history) {
    std::vector<Message> messages;
    if (!system_prompt.empty()) {
        messages.push_back(Message::system(system_prompt));
    }
    messages.insert(messages.end(), history.begin(), history.end());
    return messages;
}

// A system prompt is not a message of a history; later system messages are.
void check_first(const std::string & system_prompt, const std::vector<Message> & history) {
    if (system_prompt.empty() && !history.empty() && history.front().role == "system") {
        fail(LUUP_ERROR_INVALID_PARAM,
             "history[0] is a system message: give the agent a system_prompt; only later ones belong to the history");
    }
}

}  // namespace

Agent::Agent(std::shared_ptr<Model> model, std::string system_prompt, Sampling sampling, bool enable_history)
    : id_(++last_id),
      model_(std::move(model)),
      sampling_(std::move(sampling)),
      enable_history_(enable_history),
      system_prompt_(std::move(system_prompt)),
      tools_(std::make_shared<const ToolSet>(std::vector<Tool>())) {
    sampling_.check();
}

Agent::~Agent() {
    if (!model_->forked()) {
        model_->disown(id_);
    }
}

void Agent::save(const std::string & path, const std::string & extra) const {
    const auto                     in_use = model_->use();
    SavedAgent                     saved;
    std::vector<AdapterScale>      adapters;
    std::shared_ptr<const ToolSet> tools;
    {
        std::lock_guard<std::mutex> lock(mutex_);
        check_idle();
        saved.system_prompt = system_prompt_;
        saved.history       = history_;
        adapters            = last_adapters_;
        tools               = tools_;
    }
    saved.extra = extra;
    saved.state = model_->conversation_state(id_, adapters, [&](const ChatTemplate & chat) {
        if (saved.history.empty()) {  // some templates can't render a system prompt without a message
            return std::vector<llama_token>();
        }
        return conversation_tokens(chat, with_system_prompt(saved.system_prompt, saved.history), *tools);
    });
    write_agent(path, saved);
}

std::shared_ptr<Agent> Agent::load(std::shared_ptr<Model> model, const std::string & path, Sampling sampling,
                                   std::string & extra) {
    const auto  in_use = model->use();
    SavedAgent  saved  = read_agent(path);
    const auto  agent  = std::make_shared<Agent>(model, saved.system_prompt, std::move(sampling), true);
    std::string why    = saved.damage;

    agent->last_adapters_ = saved.state.adapters;
    agent->history_       = std::move(saved.history);
    extra                 = std::move(saved.extra);
    if (saved.state.sequence) {
        why = model->adopt_state(agent->id_, std::move(saved.state));
    }
    if (!why.empty()) {
        log_write(LUUP_LOG_WARN, path + ": the next run has to prefill the whole conversation: " + why);
    }
    return agent;
}

size_t Agent::save_state(const std::string & path, size_t least, uint64_t most) const {
    const auto                in_use = model_->use();
    std::vector<AdapterScale> adapters;
    {
        std::lock_guard<std::mutex> lock(mutex_);
        check_idle();
        adapters = last_adapters_;
    }
    const KvState state = model_->last_state(id_, adapters, least, most);
    if (!state.sequence) {
        return 0;
    }
    write_state(path, state);
    return state.sequence->tokens.size();
}

size_t Agent::load_state(const std::string & path) {
    const auto   in_use = model_->use();
    KvState      state  = read_state(path);
    const size_t tokens = state.sequence->tokens.size();
    return model_->adopt_state(id_, std::move(state)).empty() ? tokens : 0;
}

std::shared_ptr<Agent> Agent::fork(const std::shared_ptr<Model> & model) const {
    std::lock_guard<std::mutex> lock(mutex_);
    auto                        fork = std::make_shared<Agent>(model, system_prompt_, sampling_, enable_history_);
    fork->history_                   = history_;
    fork->last_adapters_             = last_adapters_;
    fork->tools_                     = tools_;
    fork->builtins_                  = builtins_;
    fork->summarization_             = std::make_shared<Summarization>(summarization_->settings());
    const auto tool                  = std::find_if(builtins_.begin(), builtins_.end(),
                                                    [](const Tool & t) { return t.name == Summarization::tool_name; });
    if (tool != builtins_.end()) {  // the fork's own
        fork->remove(Summarization::tool_name);
        fork->add_builtins({ Summarization::make_tool(fork->summarization_) });
    }
    return fork;
}

void Agent::check_idle() const {
    if (enable_history_ && runs_ > 0) {
        fail(LUUP_ERROR_BUSY,
             "the agent is answering another message; wait for that run's end, cancel it, or use another agent");
    }
}

std::vector<Message> Agent::conversation() const {
    return with_system_prompt(system_prompt_, history_);
}

// Checks a request against the tools and the history, fills in the agent's own tools, and returns the conversation.
std::vector<Message> Agent::conversation_of(RunRequest & request) const {
    if (!request.tools) {
        request.tools = tools_;
    }
    if (request.tool_choice == "required" && request.tools->empty()) {
        fail(LUUP_ERROR_INVALID_PARAM, "tool_choice is \"required\", but there are no tools");
    }
    if (request.tool_choice != "auto" && request.tool_choice != "required" && request.tool_choice != "none") {
        request.tools->only(request.tool_choice);  // throws if there is no such tool
    }
    if (!request.system_prompt) {
        request.system_prompt = system_prompt_;
    }
    const std::vector<Message> & history = request.history ? *request.history : history_;
    check_first(*request.system_prompt, history);
    const auto waiting = unanswered_calls(history);
    if (request.message && !waiting.empty()) {
        fail(LUUP_ERROR_INVALID_PARAM,
             "%zu tool calls wait for their results: start a run without a message to continue with them",
             waiting.size());
    }
    const bool answerable = !history.empty() && (history.back().role != "assistant" || !waiting.empty());
    if (!request.message && !answerable) {
        fail(LUUP_ERROR_INVALID_PARAM,
             "a run without a message needs a history that ends with a user message, tool calls or tool results");
    }
    return with_system_prompt(*request.system_prompt, history);
}

std::vector<Message> Agent::begin_run(RunRequest & request) {
    std::lock_guard<std::mutex> lock(mutex_);
    check_idle();
    auto messages  = conversation_of(request);
    last_adapters_ = request.sampling.adapters;
    runs_++;
    return messages;
}

std::vector<Message> Agent::preview_run(RunRequest & request) const {
    std::lock_guard<std::mutex> lock(mutex_);
    auto                        messages = conversation_of(request);
    const auto                  waiting  = unanswered_calls(messages);
    if (!waiting.empty()) {
        fail(LUUP_ERROR_INVALID_PARAM,
             "%zu tool calls at the end of the history wait for their results, which the next prompt will have in it: "
             "continue the run first",
             waiting.size());
    }
    return messages;
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
        fail(LUUP_ERROR_INVALID_PARAM, "the agent already has a tool \"%s\"", tool.name.c_str());
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
            fail(LUUP_ERROR_INVALID_PARAM, "the agent already has a tool \"%s\"", tool.name.c_str());
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
    const auto                   found =
        std::find_if(builtins_.begin(), builtins_.end(), [&](const Tool & tool) { return tool.name == name; });
    if (found == builtins_.end()) {
        if (name == Summarization::tool_name) {  // works even if the model is not offered it
            lock.unlock();
            return luup::call_builtin(Summarization::make_tool(summarization_), arguments);
        }
        fail(LUUP_ERROR_TOOL_NOT_FOUND, "the agent has no built-in tool \"%.80s\"", name.c_str());
    }
    const Tool tool = *found;
    lock.unlock();  // the tool may have to wait for a file
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
    std::string key;  // {"type": "builtin"} in the text stands for these
    for (const Tool & tool : builtins) {
        key += tool.name + "\n";
    }
    return recent_tools_.get(key + text,
                             [&] { return ToolSet::parse(text, builtins, &model_->compiled().tool_schemas()); });
}

std::shared_ptr<const OutputFormat> Agent::parse_output(const OutputSource & source) {
    constexpr size_t            limit  = 16;
    const auto                  format = model_->compile_output(source);
    std::lock_guard<std::mutex> lock(outputs_mutex_);
    recent_outputs_.erase(std::remove(recent_outputs_.begin(), recent_outputs_.end(), format), recent_outputs_.end());
    recent_outputs_.push_back(format);
    if (recent_outputs_.size() > limit) {
        recent_outputs_.pop_front();
    }
    return format;
}

void Agent::add_message(const std::string & role, const std::string & content) {
    check_role(role);
    std::lock_guard<std::mutex> lock(mutex_);
    check_idle();
    if (!unanswered_calls(history_).empty()) {
        fail(LUUP_ERROR_INVALID_PARAM,
             "the history ends with tool calls that wait for their results: no message can follow them");
    }
    history_.push_back(role == "user" ? Message::user(content) : Message::assistant(content));
}

void Agent::set_history(std::vector<Message> messages) {
    std::lock_guard<std::mutex> lock(mutex_);
    check_first(system_prompt_, messages);
    check_idle();
    history_ = std::move(messages);
}

void Agent::set_system_prompt(std::string system_prompt) {
    std::lock_guard<std::mutex> lock(mutex_);
    check_idle();
    system_prompt_ = std::move(system_prompt);
}

std::vector<Message> Agent::history() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return history_;
}

std::vector<llama_token> Agent::prompt_tokens(const std::optional<std::string> & message) const {
    const auto                  local = model_->use_weights("counting the tokens of a prompt");
    std::lock_guard<std::mutex> lock(mutex_);
    if (!message) {
        return conversation_tokens(local->chat(), conversation(), *tools_);
    }
    std::vector<Message> messages = conversation();
    messages.push_back(Message::user(*message));
    return local->chat().render(messages, offered(), true, nullptr, sampling_.reasoning).tokens;
}

std::vector<llama_token> Agent::conversation_tokens(const ChatTemplate & chat, const std::vector<Message> & messages,
                                                    const ToolSet & tools) const {
    return messages.empty()
               ? std::vector<llama_token>()
               : chat.render(messages, tools.empty() ? nullptr : &tools, false, nullptr, sampling_.reasoning).tokens;
}

const ToolSet * Agent::offered() const {
    return tools_->empty() ? nullptr : tools_.get();
}

luup_context_usage Agent::context() const {
    const auto                  local = model_->use_weights("counting the tokens of a context");
    const ChatTemplate &        chat  = local->chat();
    std::lock_guard<std::mutex> lock(mutex_);
    luup_context_usage          usage = {};
    const int32_t               with  = static_cast<int32_t>(compute_prefix(chat, system_prompt_, offered()).size());
    usage.total                       = local->context_size();
    usage.system = offered() ? static_cast<int32_t>(compute_prefix(chat, system_prompt_, nullptr).size()) : with;
    usage.tools  = std::max(0, with - usage.system);
    if (!history_.empty()) {
        const auto all = conversation_tokens(chat, conversation(), *tools_);
        usage.history  = std::max(0, static_cast<int32_t>(all.size()) - with);
    }
    usage.free = std::max(0, usage.total - with - usage.history);
    return usage;
}

std::vector<llama_token> Agent::prefix(const ChatTemplate & chat, const std::string & system_prompt,
                                       const std::shared_ptr<const ToolSet> & tools) const {
    std::lock_guard<std::mutex> lock(mutex_);
    if (prefix_tools_ != tools || prefix_prompt_ != system_prompt) {
        prefix_        = compute_prefix(chat, system_prompt, tools->empty() ? nullptr : tools.get());
        prefix_tools_  = tools;
        prefix_prompt_ = system_prompt;
    }
    return prefix_;
}

// Compares two prompts that differ in the user's message alone: some templates can't render a system prompt without
// one.
std::vector<llama_token> Agent::compute_prefix(const ChatTemplate & chat, const std::string & system_prompt,
                                               const ToolSet * tools) const {
    std::vector<Message> one = with_system_prompt(system_prompt, {});
    std::vector<Message> two = one;
    one.push_back(Message::user("a"));
    two.push_back(Message::user("1"));
    const auto render = [&](const std::vector<Message> & messages) {
        return chat.render(messages, tools, true, nullptr, sampling_.reasoning).tokens;
    };
    std::vector<llama_token> tokens = render(one);
    tokens.resize(common_prefix(tokens, render(two)));
    return tokens;
}

}  // namespace luup
