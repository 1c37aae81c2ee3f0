// The C API: agents, their settings, tools and history.
#include "api/api.h"

#include "agent/builtins/notes.h"
#include "agent/builtins/todo.h"

#include <nlohmann/json.hpp>

using namespace luup;

using json = nlohmann::ordered_json;

static std::vector<LogitBias> read_logit_bias(const luup_sampling_params & p) {
    std::vector<LogitBias> biases;
    if (p.n_logit_bias > 0) {
        check_pointer("sampling->logit_bias", p.logit_bias);
    }
    for (size_t i = 0; i < std::min<size_t>(p.n_logit_bias, 4097); i++) {
        const luup_logit_bias & each = p.logit_bias[i];
        LogitBias               bias;
        bias.bias = each.bias;
        if (each.text) {
            bias.text = checked_text(("logit_bias[" + std::to_string(i) + "].text").c_str(), each.text);
            if (bias.text.empty()) {
                fail(LUUP_ERROR_INVALID_PARAM, "logit_bias[%zu].text is empty", i);
            }
        } else {
            bias.token = each.token;
        }
        biases.push_back(std::move(bias));
    }
    return biases;
}

static std::vector<AdapterScale> read_adapters(const luup_sampling_params & p) {
    std::vector<AdapterScale> adapters;
    if (p.n_adapters > 0) {
        check_pointer("sampling->adapters", p.adapters);
    }
    for (size_t i = 0; i < std::min<size_t>(p.n_adapters, 65); i++) {
        adapters.push_back(
            { checked_text(("sampling->adapters[" + std::to_string(i) + "].name").c_str(), p.adapters[i].name),
              p.adapters[i].scale });
    }
    return adapters;
}

// Copies the settings that have the same name and type in luup_sampling_params and in Sampling.
template <typename To, typename From> static void copy_plain_settings(To & to, const From & from) {
    to.temperature       = from.temperature;
    to.top_p             = from.top_p;
    to.min_p             = from.min_p;
    to.top_k             = from.top_k;
    to.repeat_penalty    = from.repeat_penalty;
    to.repeat_last_n     = from.repeat_last_n;
    to.seed              = from.seed;
    to.max_tokens        = from.max_tokens;
    to.jump_forward      = from.jump_forward;
    to.prompt_lookup     = from.prompt_lookup;
    to.presence_penalty  = from.presence_penalty;
    to.frequency_penalty = from.frequency_penalty;
    to.logprobs          = from.logprobs;
    to.top_logprobs      = from.top_logprobs;
}

Sampling luup::read_sampling(const luup_sampling_params * params) {
    const luup_sampling_params p = read_params("sampling", params, luup_sampling_default_params);
    Sampling                   s;
    copy_plain_settings(s, p);
    s.logit_bias           = read_logit_bias(p);
    s.adapters             = read_adapters(p);
    s.reasoning.level      = reasoning_level(optional_text("reasoning", p.reasoning).value_or(""));
    s.reasoning.max_tokens = p.max_reasoning_tokens;
    s.reasoning.options    = optional_text("template_options", p.template_options).value_or("");
    if (p.n_stop > 0) {
        check_pointer("sampling->stop", p.stop);
    }
    for (size_t i = 0; i < std::min<size_t>(p.n_stop, 65); i++) {
        s.stop.push_back(checked_text(("stop[" + std::to_string(i) + "]").c_str(), p.stop[i]));
    }
    s.check();
    return s;
}

void luup_sampling_default_params(luup_sampling_params * params) {
    if (params) {
        const Sampling s;
        *params      = {};
        params->size = sizeof(*params);
        copy_plain_settings(*params, s);
        params->max_reasoning_tokens = s.reasoning.max_tokens;
    }
}

void luup_agent_default_params(luup_agent_params * params) {
    if (params) {
        *params                = {};
        params->size           = sizeof(*params);
        params->enable_history = true;
    }
}

int luup_agent_create(luup_model * model, const luup_agent_params * params, luup_agent ** agent) {
    return guard([&] {
        check_pointer("model", model);
        check_pointer("agent", agent);
        const luup_agent_params p             = read_params("params", params, luup_agent_default_params);
        const std::string       system_prompt = optional_text("system_prompt", p.system_prompt).value_or("");
        const Sampling          sampling      = read_sampling(p.sampling);
        const auto              in_use        = model->model->use();
        model->model->check(sampling);
        *agent = new luup_agent{ std::make_shared<Agent>(model->model, system_prompt, sampling, p.enable_history) };
    });
}

int luup_agent_fork(const luup_agent * agent, luup_model * model, luup_agent ** fork) {
    return guard([&] {
        check_pointer("agent", agent);
        check_pointer("fork", fork);
        const auto target = model ? model->model : agent->agent->shared_model();
        // One lock at a time: another thread may fork from the second model to the first, while both are to be closed.
        agent->agent->model().use().unlock();
        const auto in_use = target->use();
        if (model) {
            target->check(agent->agent->sampling());
        }
        *fork = new luup_agent{ agent->agent->fork(target) };
    });
}

int luup_agent_save(const luup_agent * agent, const char * path, const char * extra) {
    return guard([&] {
        check_pointer("agent", agent);
        agent->agent->save(checked_text("path", path), optional_text("extra", extra).value_or(""));
    });
}

int luup_agent_load(luup_model * model, const char * path, const luup_sampling_params * sampling, luup_agent ** agent,
                    char ** extra) {
    return guard([&] {
        check_pointer("model", model);
        check_pointer("agent", agent);
        std::string text;
        auto        loaded = Agent::load(model->model, checked_text("path", path), read_sampling(sampling), text);
        if (extra) {
            *extra = new_string(text);
        }
        *agent = new luup_agent{ std::move(loaded) };
    });
}

int luup_agent_save_state(const luup_agent * agent, const char * path, size_t min_tokens, uint64_t max_bytes,
                          size_t * n_tokens) {
    return guard([&] {
        check_pointer("agent", agent);
        check_pointer("n_tokens", n_tokens);
        *n_tokens = agent->agent->save_state(checked_text("path", path), min_tokens, max_bytes);
    });
}

int luup_agent_load_state(luup_agent * agent, const char * path, size_t * n_tokens) {
    return guard([&] {
        check_pointer("agent", agent);
        check_pointer("n_tokens", n_tokens);
        *n_tokens = agent->agent->load_state(checked_text("path", path));
    });
}

void luup_agent_destroy(luup_agent * agent) {
    delete agent;
}

void luup_tool_default_params(luup_tool_params * params) {
    if (params) {
        *params      = {};
        params->size = sizeof(*params);
    }
}

int luup_agent_register_tool(luup_agent * agent, const luup_tool_params * params) {
    return guard([&] {
        check_pointer("agent", agent);
        check_pointer("params", params);
        const luup_tool_params p           = read_params("params", params, luup_tool_default_params);
        const std::string      name        = checked_text("name", p.name);
        const std::string      description = optional_text("description", p.description).value_or("");
        const std::string      parameters  = optional_text("parameters", p.parameters).value_or("");
        const auto             in_use      = agent->agent->model().use();
        Tool tool      = make_tool(name, description, parameters, &agent->agent->model().compiled().tool_schemas());
        tool.callback  = p.callback;
        tool.user_data = p.user_data;
        agent->agent->register_tool(std::move(tool));
    });
}

int luup_agent_unregister_tool(luup_agent * agent, const char * name) {
    return guard([&] {
        check_pointer("agent", agent);
        const std::string text   = checked_text("name", name);
        const auto        in_use = agent->agent->model().use();
        agent->agent->unregister_tool(text);
    });
}

static int enable_tools(luup_agent * agent, const char * path, std::vector<Tool> (*make)(const std::string & path)) {
    return guard([&] {
        check_pointer("agent", agent);
        const auto file = optional_text("path", path);
        if (file && file->empty()) {
            fail(LUUP_ERROR_INVALID_PARAM, "path is empty");
        }
        const auto in_use = agent->agent->model().use();
        agent->agent->add_builtins(make(file.value_or("")));
    });
}

int luup_agent_enable_builtin_todo(luup_agent * agent, const char * path) {
    return enable_tools(agent, path, make_todo_tools);
}

int luup_agent_enable_builtin_notes(luup_agent * agent, const char * path) {
    return enable_tools(agent, path, make_note_tools);
}

void luup_summarization_default_params(luup_summarization_params * params) {
    if (params) {
        const Summarization::Settings s;
        *params           = {};
        params->size      = sizeof(*params);
        params->threshold = s.threshold;
        params->keep      = s.keep;
    }
}

int luup_agent_enable_builtin_summarization(luup_agent * agent, const luup_summarization_params * params) {
    return guard([&] {
        check_pointer("agent", agent);
        const luup_summarization_params p = read_params("params", params, luup_summarization_default_params);
        Summarization::Settings         s;
        s.enabled         = true;
        s.threshold       = p.threshold;
        s.keep            = p.keep;
        s.by_host         = p.by_host;
        const auto in_use = agent->agent->model().use();
        agent->agent->enable_summarization(s, p.tool);
    });
}

int luup_agent_call_builtin(luup_agent * agent, const char * name, const char * arguments, char ** result) {
    return guard([&] {
        check_pointer("agent", agent);
        check_pointer("result", result);
        const std::string tool = checked_text("name", name), values = checked_text("arguments", arguments);
        agent->agent->model().check_process();
        *result =
            new_string(agent->agent->call_builtin(tool, values).dump(-1, ' ', false, json::error_handler_t::replace));
    });
}

int luup_agent_add_message(luup_agent * agent, const char * role, const char * content) {
    return guard([&] {
        check_pointer("agent", agent);
        const std::string r = checked_text("role", role), c = checked_text("content", content);
        const auto        in_use = agent->agent->model().use();
        agent->agent->add_message(r, c);
    });
}

int luup_agent_clear_history(luup_agent * agent) {
    return guard([&] {
        check_pointer("agent", agent);
        const auto in_use = agent->agent->model().use();
        agent->agent->set_history({});
    });
}

int luup_agent_get_history(const luup_agent * agent, char ** text) {
    return guard([&] {
        check_pointer("agent", agent);
        check_pointer("json", text);
        agent->agent->model().check_process();
        *text = new_string(to_json(agent->agent->history()).dump());
    });
}

int luup_agent_set_history(luup_agent * agent, const char * text) {
    return guard([&] {
        check_pointer("agent", agent);
        auto       messages = parse_messages(checked_text("json", text));
        const auto in_use   = agent->agent->model().use();
        agent->agent->set_history(std::move(messages));
    });
}

int luup_agent_set_system_prompt(luup_agent * agent, const char * system_prompt) {
    return guard([&] {
        check_pointer("agent", agent);
        auto       text   = optional_text("system_prompt", system_prompt).value_or("");
        const auto in_use = agent->agent->model().use();
        agent->agent->set_system_prompt(std::move(text));
    });
}

int luup_agent_get_context(const luup_agent * agent, luup_context_usage * usage) {
    return guard([&] {
        check_pointer("agent", agent);
        write_result("usage", usage, agent->agent->context());
    });
}

int luup_agent_get_prompt(const luup_agent * agent, const char * message, int32_t * tokens, size_t capacity,
                          size_t * n_tokens) {
    return guard([&] {
        check_pointer("agent", agent);
        write_tokens(agent->agent->prompt_tokens(optional_text("message", message)), tokens, capacity, n_tokens);
    });
}
