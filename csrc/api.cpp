// The C boundary: checks arguments, turns exceptions into codes, and hands on to the classes behind.
#include "agent.h"
#include "backends.h"
#include "builtins/notes.h"
#include "builtins/todo.h"
#include "error.h"
#include "estimate.h"
#include "log.h"
#include "model.h"
#include "remote.h"
#include "run.h"
#include "text.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>

using namespace luup;

struct luup_model {
    std::shared_ptr<Model> model;
};

struct luup_agent {
    std::shared_ptr<Agent> agent;
};

struct luup_run {
    std::shared_ptr<Run> run;
};

namespace {

using json = nlohmann::ordered_json;

// Runs `body`; what it throws becomes the return value and the thread's last error.
template <typename Body>
int guard(Body && body) noexcept {
    try {
        body();
        return LUUP_SUCCESS;
    } catch (...) {
        const Failure failure = current_failure();
        return set_last_error(failure.code, failure.message);
    }
}

void check_pointer(const char * name, const void * pointer) {
    if (!pointer) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s is NULL", name);
    }
}

std::string checked_text(const char * name, const char * text) {
    check_pointer(name, text);
    const size_t bad = utf8_find_invalid(text);
    if (bad != std::string_view::npos) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s is not valid UTF-8 at byte %zu", name, bad);
    }
    return text;
}

std::optional<std::string> optional_text(const char * name, const char * text) {
    return text ? std::optional<std::string>(checked_text(name, text)) : std::nullopt;
}

// An input structure of this or an older version: fields that the caller does not know keep their defaults.
template <typename T>
T read_params(const char * name, const T * params, void (*defaults)(T *)) {
    T result;
    defaults(&result);
    if (params) {
        if (params->size < sizeof(size_t) || params->size > 65536) {
            fail(LUUP_ERROR_INVALID_PARAM, "%s->size is %zu: fill the structure with its default function first", name, params->size);
        }
        std::memcpy(&result, params, std::min(params->size, sizeof(T)));
    }
    return result;
}

// An output structure of this or an older version: only the fields that the caller knows are written.
template <typename T>
void write_result(const char * name, T * to, T result) {
    check_pointer(name, to);
    const size_t size = to->size;
    if (size < sizeof(size_t) || size > 65536) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s->size is %zu: set it to sizeof(*%s) first", name, size, name);
    }
    result.size = size;
    std::memcpy(to, &result, std::min(size, sizeof(T)));
}

luup_model_params read_model_params(const luup_model_params * params) {
    const luup_model_params p = read_params("params", params, luup_model_default_params);
    optional_text("chat_template", p.chat_template);
    optional_text("prefix_cache", p.prefix_cache);
    if (p.n_devices > 0) {
        check_pointer("devices", p.devices);
    }
    if (p.n_tensor_split > 0) {
        check_pointer("tensor_split", p.tensor_split);
    }
    if (p.n_rpc_servers > 0) {
        check_pointer("rpc_servers", p.rpc_servers);
    }
    const size_t limit = llama_max_devices();
    for (const auto & [name, count] : { std::pair("devices", p.n_devices), std::pair("tensor_split", p.n_tensor_split), std::pair("rpc_servers", p.n_rpc_servers) }) {
        if (count > limit) {
            fail(LUUP_ERROR_INVALID_PARAM, "%s has more than %zu entries", name, limit);
        }
    }
    for (size_t i = 0; i < p.n_devices; i++) {
        checked_text(("devices[" + std::to_string(i) + "]").c_str(), p.devices[i]);
    }
    for (size_t i = 0; i < p.n_rpc_servers; i++) {
        checked_text(("rpc_servers[" + std::to_string(i) + "]").c_str(), p.rpc_servers[i]);
    }
    return p;
}

Sampling read_sampling(const luup_sampling_params * params) {
    const luup_sampling_params p = read_params("sampling", params, luup_sampling_default_params);
    Sampling                   s;
    s.temperature    = p.temperature;
    s.top_p          = p.top_p;
    s.min_p          = p.min_p;
    s.top_k          = p.top_k;
    s.repeat_penalty = p.repeat_penalty;
    s.repeat_last_n  = p.repeat_last_n;
    s.seed           = p.seed;
    s.max_tokens     = p.max_tokens;
    s.jump_forward   = p.jump_forward;
    s.prompt_lookup  = p.prompt_lookup;
    if (p.n_stop > 0) {
        check_pointer("sampling->stop", p.stop);
    }
    for (size_t i = 0; i < std::min<size_t>(p.n_stop, 65); i++) {
        s.stop.push_back(checked_text(("stop[" + std::to_string(i) + "]").c_str(), p.stop[i]));
    }
    s.check();
    return s;
}

char * new_string(const std::string & text) {
    char * copy = static_cast<char *>(std::malloc(text.size() + 1));
    if (!copy) {
        throw std::bad_alloc();
    }
    std::memcpy(copy, text.c_str(), text.size() + 1);
    return copy;
}

void write_tokens(const std::vector<llama_token> & from, int32_t * tokens, size_t capacity, size_t * n_tokens) {
    check_pointer("n_tokens", n_tokens);
    if (capacity > 0) {
        check_pointer("tokens", tokens);
        std::copy_n(from.begin(), std::min(capacity, from.size()), tokens);
    }
    *n_tokens = from.size();
}

std::vector<std::string> read_choices(const luup_run_params & p) {
    if (p.n_choices > 1024) {
        fail(LUUP_ERROR_INVALID_PARAM, "choices holds %zu texts; at most 1024 are possible", p.n_choices);
    }
    if (p.n_choices > 0) {
        check_pointer("choices", p.choices);
    }
    std::vector<std::string> choices;
    for (size_t i = 0; i < p.n_choices; i++) {
        choices.push_back(checked_text(("choices[" + std::to_string(i) + "]").c_str(), p.choices[i]));
    }
    return choices;
}

RunRequest read_request(Agent & agent, const std::optional<std::string> & message, const luup_run_params & p) {
    RunRequest request;
    if (message) {
        request.message = Message{ "user", *message, "", {}, "", "" };
    }
    request.sampling       = p.sampling ? read_sampling(p.sampling) : agent.sampling();
    request.timeout_ms     = p.timeout_ms;
    request.tool_choice    = optional_text("tool_choice", p.tool_choice).value_or("auto");
    request.parallel_calls = p.parallel_calls;
    request.priority       = p.priority;
    request.max_turns      = p.max_turns;
    request.review         = p.review_output;
    request.output_retries = p.output_retries;
    request.confidence     = p.confidence;
    request.choices        = read_choices(p);
    const auto in_use      = agent.model().use();
    if (p.tools) {
        request.tools = agent.parse_tools(checked_text("tools", p.tools));
    }
    if (p.output_schema) {
        request.output = agent.parse_output(checked_text("output_schema", p.output_schema));
    }
    return request;
}

}  // namespace

// ---------------------------------------------------------------------------------------------------------------------
// Versions and devices
// ---------------------------------------------------------------------------------------------------------------------

const char * luup_version(void) {
    return LUUP_VERSION;
}

const char * luup_llama_version(void) {
    static const std::string version = std::string(llama_version()) + " (" LUUP_LLAMA_COMMIT ")";
    return version.c_str();
}

int luup_backends_load(void) {
    return guard([] { load_backends(); });
}

size_t luup_device_count(void) {
    return luup_backends_load() == LUUP_SUCCESS ? ggml_backend_dev_count() : 0;
}

int luup_device_get(size_t index, luup_device_info * info) {
    return guard([&] {
        load_backends();
        if (index >= ggml_backend_dev_count()) {
            fail(LUUP_ERROR_INVALID_PARAM, "index is %zu; there are %zu devices", index, ggml_backend_dev_count());
        }
        const ggml_backend_dev_t device = ggml_backend_dev_get(index);
        size_t                   free = 0, total = 0;
        ggml_backend_dev_memory(device, &free, &total);
        luup_device_info result = {};
        result.name             = ggml_backend_dev_name(device);
        result.description      = ggml_backend_dev_description(device);
        result.backend          = ggml_backend_reg_name(ggml_backend_dev_backend_reg(device));
        result.memory_free      = free;
        result.memory_total     = total;
        switch (ggml_backend_dev_type(device)) {
            case GGML_BACKEND_DEVICE_TYPE_CPU: result.type = LUUP_DEVICE_CPU; break;
            case GGML_BACKEND_DEVICE_TYPE_GPU: result.type = LUUP_DEVICE_GPU; break;
            case GGML_BACKEND_DEVICE_TYPE_IGPU: result.type = LUUP_DEVICE_IGPU; break;
            default: result.type = LUUP_DEVICE_ACCELERATOR; break;
        }
        write_result("info", info, result);
    });
}

int luup_backends_add(const char * folder, const char * version) {
    return guard([&] { add_backends(checked_text("folder", folder), checked_text("version", version)); });
}

size_t luup_backend_count(void) {
    return luup_backends_load() == LUUP_SUCCESS ? backends().size() : 0;
}

int luup_backend_get(size_t index, luup_backend_info * info) {
    return guard([&] {
        load_backends();
        if (index >= backends().size()) {
            fail(LUUP_ERROR_INVALID_PARAM, "index is %zu; there are %zu backends", index, backends().size());
        }
        const Backend &   backend = backends()[index];
        luup_backend_info result  = {};
        result.name               = backend.name.c_str();
        result.path               = backend.path.c_str();
        result.reason             = backend.reason.c_str();
        result.n_devices          = backend.registration ? ggml_backend_reg_dev_count(backend.registration) : 0;
        write_result("info", info, result);
    });
}

int luup_cpu_variant_get(luup_cpu_variant * variant) {
    return guard([&] {
        const CpuVariant & chosen = load_backends();
        luup_cpu_variant   result = {};
        result.name               = chosen.name.c_str();
        result.path               = chosen.path.c_str();
        result.reason             = chosen.reason.c_str();
        write_result("variant", variant, result);
    });
}

// ---------------------------------------------------------------------------------------------------------------------
// Models
// ---------------------------------------------------------------------------------------------------------------------

void luup_model_default_params(luup_model_params * params) {
    if (params) {
        *params               = {};
        params->size          = sizeof(*params);
        params->gpu_layers    = -1;
        params->context_size  = LUUP_CONTEXT_SIZE_DEFAULT;
        params->batch_size    = 512;
        params->max_sequences = 64;
        params->max_waiting   = -1;
        params->cache_ram     = int64_t(1) << 30;
        params->use_mmap      = true;
        params->split_mode    = LUUP_SPLIT_LAYER;
    }
}

int luup_model_load(const char * path, const luup_model_params * params, luup_model ** model) {
    return guard([&] {
        check_pointer("model", model);
        const std::string file = checked_text("path", path);
        *model                 = new luup_model{ Model::load(file, read_model_params(params)) };
    });
}

int luup_model_estimate(const char * path, const luup_model_params * params, luup_memory_estimate * estimate) {
    return guard([&] {
        check_pointer("estimate", estimate);
        const std::string file = checked_text("path", path);
        write_result("estimate", estimate, estimate_memory(file, read_model_params(params)));
    });
}

void luup_remote_default_params(luup_remote_params * params) {
    if (params) {
        *params      = {};
        params->size = sizeof(*params);
    }
}

int luup_model_create_remote(const luup_remote_params * params, luup_model ** model) {
    return guard([&] {
        check_pointer("params", params);
        check_pointer("model", model);
        const luup_remote_params p      = read_params("params", params, luup_remote_default_params);
        const std::string        name   = checked_text("params->model", p.model);
        const std::string        format = optional_text("response_format", p.response_format).value_or("json_schema");
        if (name.empty()) {
            fail(LUUP_ERROR_INVALID_PARAM, "params->model is empty");
        }
        if (format != "json_schema" && format != "json_object" && format != "none") {
            fail(LUUP_ERROR_INVALID_PARAM, "response_format must be \"json_schema\", \"json_object\" or \"none\", not \"%.40s\"", format.c_str());
        }
        const auto kind = format == "json_schema" ? ResponseFormat::JsonSchema : format == "json_object" ? ResponseFormat::JsonObject
                                                                                                         : ResponseFormat::None;
        *model          = new luup_model{ Model::remote(std::make_unique<Remote>(name, optional_text("extra_body", p.extra_body).value_or(""), kind)) };
    });
}

int luup_model_create_fallback(luup_model * const * models, size_t n_models, luup_model ** model) {
    return guard([&] {
        check_pointer("models", models);
        check_pointer("model", model);
        if (n_models < 1 || n_models > 64) {
            fail(LUUP_ERROR_INVALID_PARAM, "n_models must be from 1 to 64, not %zu", n_models);
        }
        std::vector<std::shared_ptr<Model>> all;
        for (size_t i = 0; i < n_models; i++) {
            check_pointer(("models[" + std::to_string(i) + "]").c_str(), models[i]);
            all.push_back(models[i]->model);
        }
        *model = new luup_model{ Model::fallback(std::move(all)) };
    });
}

int luup_model_get_info(const luup_model * model, luup_model_info * info) {
    return guard([&] {
        check_pointer("model", model);
        model->model->check_process();
        write_result("info", info, model->model->info());
    });
}

int luup_model_get_stats(const luup_model * model, luup_model_stats * stats) {
    return guard([&] {
        check_pointer("model", model);
        const auto in_use = model->model->use_local("luup_model_get_stats");
        write_result("stats", stats, model->model->engine().stats());
    });
}

int luup_model_warmup(luup_model * model) {
    return guard([&] {
        check_pointer("model", model);
        const auto in_use = model->model->use_local("luup_model_warmup");
        model->model->engine().warmup();
    });
}

int luup_model_tokenize(const luup_model * model, const char * text, bool parse_special, int32_t * tokens, size_t capacity, size_t * n_tokens) {
    return guard([&] {
        check_pointer("model", model);
        const std::string input  = checked_text("text", text);
        const auto        in_use = model->model->use_local("luup_model_tokenize");
        write_tokens(tokenize_text(model->model->vocab(), input, false, parse_special), tokens, capacity, n_tokens);
    });
}

int luup_model_detokenize(const luup_model * model, const int32_t * tokens, size_t n_tokens, char ** text) {
    return guard([&] {
        check_pointer("model", model);
        check_pointer("text", text);
        if (n_tokens > 0) {
            check_pointer("tokens", tokens);
        }
        const auto   in_use = model->model->use_local("luup_model_detokenize");
        const auto * vocab  = model->model->vocab();
        std::string  bytes;
        for (size_t i = 0; i < n_tokens; i++) {
            if (tokens[i] < 0 || tokens[i] >= llama_vocab_n_tokens(vocab)) {
                fail(LUUP_ERROR_INVALID_PARAM, "tokens[%zu] is %d; the vocabulary has %d tokens", i, tokens[i], llama_vocab_n_tokens(vocab));
            }
            bytes += token_bytes(vocab, tokens[i], true);
        }
        *text = new_string(utf8_sanitize(bytes));
    });
}

int luup_model_close(luup_model * model) {
    return guard([&] {
        check_pointer("model", model);
        model->model->close();
    });
}

void luup_model_destroy(luup_model * model) {
    if (model) {
        guard([&] {
            if (!model->model->forked()) {
                model->model->close();
            }
        });
        delete model;
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Agents
// ---------------------------------------------------------------------------------------------------------------------

void luup_sampling_default_params(luup_sampling_params * params) {
    if (params) {
        const Sampling s;
        *params                = {};
        params->size           = sizeof(*params);
        params->temperature    = s.temperature;
        params->top_p          = s.top_p;
        params->min_p          = s.min_p;
        params->top_k          = s.top_k;
        params->repeat_penalty = s.repeat_penalty;
        params->repeat_last_n  = s.repeat_last_n;
        params->seed           = s.seed;
        params->max_tokens     = s.max_tokens;
        params->jump_forward   = s.jump_forward;
        params->prompt_lookup  = s.prompt_lookup;
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
        *agent                                = new luup_agent{ std::make_shared<Agent>(model->model, system_prompt, sampling, p.enable_history) };
    });
}

int luup_agent_fork(const luup_agent * agent, luup_model * model, luup_agent ** fork) {
    return guard([&] {
        check_pointer("agent", agent);
        check_pointer("fork", fork);
        const auto in_use = agent->agent->model().use();
        const auto target = model ? model->model : agent->agent->shared_model();
        const auto needed = model ? target->use() : std::shared_lock<std::shared_mutex>();
        *fork             = new luup_agent{ agent->agent->fork(target) };
    });
}

int luup_agent_save(const luup_agent * agent, const char * path, const char * extra) {
    return guard([&] {
        check_pointer("agent", agent);
        agent->agent->save(checked_text("path", path), optional_text("extra", extra).value_or(""));
    });
}

int luup_agent_load(luup_model * model, const char * path, const luup_sampling_params * sampling, luup_agent ** agent, char ** extra) {
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
        const luup_tool_params p    = read_params("params", params, luup_tool_default_params);
        Tool                   tool = make_tool(checked_text("name", p.name), optional_text("description", p.description).value_or(""),
                                                optional_text("parameters", p.parameters).value_or(""));
        tool.callback               = p.callback;
        tool.user_data              = p.user_data;
        const auto in_use           = agent->agent->model().use();
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
        *result = new_string(agent->agent->call_builtin(tool, values).dump(-1, ' ', false, json::error_handler_t::replace));
    });
}

int luup_schema_check(const char * schema) {
    return guard([&] { Schema::compile(checked_text("schema", schema)); });
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

int luup_agent_get_context(const luup_agent * agent, luup_context_usage * usage) {
    return guard([&] {
        check_pointer("agent", agent);
        write_result("usage", usage, agent->agent->context());
    });
}

int luup_agent_get_prompt(const luup_agent * agent, const char * message, int32_t * tokens, size_t capacity, size_t * n_tokens) {
    return guard([&] {
        check_pointer("agent", agent);
        write_tokens(agent->agent->prompt_tokens(optional_text("message", message)), tokens, capacity, n_tokens);
    });
}

// ---------------------------------------------------------------------------------------------------------------------
// Runs
// ---------------------------------------------------------------------------------------------------------------------

void luup_run_default_params(luup_run_params * params) {
    if (params) {
        *params      = {};
        params->size = sizeof(*params);
        const RunRequest r;
        params->timeout_ms     = r.timeout_ms;
        params->parallel_calls = r.parallel_calls;
        params->max_turns      = r.max_turns;
        params->output_retries = r.output_retries;
    }
}

int luup_run_start(luup_agent * agent, const char * message, const luup_run_params * params, luup_run ** run) {
    return guard([&] {
        check_pointer("agent", agent);
        check_pointer("run", run);
        const luup_run_params p = read_params("params", params, luup_run_default_params);
        *run                    = new luup_run{ agent->agent->start(read_request(*agent->agent, optional_text("message", message), p)) };
    });
}

int luup_run_next(luup_run * run, int32_t timeout_ms, luup_event * event) {
    return guard([&] {
        check_pointer("run", run);
        check_pointer("event", event);
        run->run->agent().model().check_process();
        run->run->next(timeout_ms, event);
        if (event->type == LUUP_EVENT_ERROR) {
            set_last_error(static_cast<luup_error>(event->error), event->text);
        }
    });
}

int luup_run_wait(luup_run * run, int32_t timeout_ms, bool * ended) {
    return guard([&] {
        check_pointer("run", run);
        check_pointer("ended", ended);
        run->run->agent().model().check_process();
        *ended = run->run->wait(timeout_ms);
    });
}

int luup_run_set_wakeup_fd(luup_run * run, intptr_t fd) {
    return guard([&] {
        check_pointer("run", run);
        run->run->agent().model().check_process();
        run->run->set_wakeup_fd(fd);
    });
}

int luup_run_submit_tool_result(luup_run * run, const char * call_id, const char * content, bool is_error) {
    return guard([&] {
        check_pointer("run", run);
        const std::string id = checked_text("call_id", call_id), text = checked_text("content", content);
        run->run->agent().model().check_process();
        run->run->submit_tool_result(id, text, is_error);
    });
}

int luup_run_review_output(luup_run * run, const char * problem) {
    return guard([&] {
        check_pointer("run", run);
        run->run->agent().model().check_process();
        run->run->review_output(optional_text("problem", problem));
    });
}

int luup_run_push_chunk(luup_run * run, const char * chunk, bool * more) {
    return guard([&] {
        check_pointer("run", run);
        const std::string text = checked_text("json", chunk);
        run->run->agent().model().check_process();
        const bool goes_on = run->run->push_chunk(text);
        if (more) {
            *more = goes_on;
        }
    });
}

int luup_run_end_completion(luup_run * run, int status, const char * message) {
    return guard([&] {
        check_pointer("run", run);
        if (status != LUUP_SUCCESS && luup_error_name(status) == luup_error_name(1)) {
            fail(LUUP_ERROR_INVALID_PARAM, "status is %d, which is no error code", status);
        }
        const std::string text = optional_text("message", message).value_or("");
        run->run->agent().model().check_process();
        run->run->end_completion({ static_cast<luup_error>(status), text.empty() ? luup_error_text(status) : text });
    });
}

int luup_run_submit_summary(luup_run * run, const char * summary) {
    return guard([&] {
        check_pointer("run", run);
        run->run->agent().model().check_process();
        run->run->submit_summary(optional_text("summary", summary));
    });
}

int luup_run_suspend(luup_run * run) {
    return guard([&] {
        check_pointer("run", run);
        run->run->agent().model().check_process();
        run->run->suspend();
    });
}

int luup_run_get_messages(const luup_run * run, char ** text) {
    return guard([&] {
        check_pointer("run", run);
        check_pointer("json", text);
        run->run->agent().model().check_process();
        *text = new_string(to_json(run->run->messages()).dump());
    });
}

void luup_run_cancel(luup_run * run) {
    if (run && !run->run->agent().model().forked()) {
        guard([&] { run->run->cancel(); });
    }
}

void luup_run_destroy(luup_run * run) {
    luup_run_cancel(run);
    delete run;
}

// ---------------------------------------------------------------------------------------------------------------------
// Conveniences
// ---------------------------------------------------------------------------------------------------------------------

// Lets a tool's callback answer its call; one that stays silent is told so to the model.
static void call_tool(luup_run * run, const luup_event & event) {
    const std::string id = event.call_id, arguments = event.text;
    const Tool *      tool = run->run->request().tools->find(event.tool_name);
    if (tool && tool->callback) {
        tool->callback(run, id.c_str(), arguments.c_str(), tool->user_data);
    }
    guard([&] {
        if (run->run->waits_for(id)) {
            run->run->submit_tool_result(id, tool && tool->callback ? "the tool gave no result" : "the tool has no function here", true);
        }
    });
}

int luup_agent_generate_stream(luup_agent * agent, const char * message, const luup_run_params * params, luup_text_callback callback, void * user_data) {
    luup_run * run   = nullptr;
    int        code  = luup_run_start(agent, message, params, &run);
    luup_event event = {};
    while (code == LUUP_SUCCESS && event.type < LUUP_EVENT_DONE) {
        code = luup_run_next(run, -1, &event);
        if (code == LUUP_SUCCESS && event.type == LUUP_EVENT_TOOL_CALL) {
            call_tool(run, event);
        }
        if (code == LUUP_SUCCESS && event.type == LUUP_EVENT_COMPLETION_REQUEST) {
            code = luup_run_end_completion(run, LUUP_ERROR_UNSUPPORTED, "a remote model's requests have to be sent: pull the run's events");
        }
        if (code == LUUP_SUCCESS && event.type == LUUP_EVENT_SUMMARY_REQUEST) {
            code = luup_run_submit_summary(run, nullptr);  // nobody here writes one
        }
        if (code == LUUP_SUCCESS && event.type == LUUP_EVENT_TEXT && callback && !callback(event.text, event.text_length, user_data)) {
            luup_run_cancel(run);
        }
    }
    luup_run_destroy(run);
    return code == LUUP_SUCCESS ? event.error : code;
}

int luup_agent_generate(luup_agent * agent, const char * message, const luup_run_params * params, char ** text) {
    std::string whole;
    const auto  append = [](const char * piece, size_t length, void * data) {
        static_cast<std::string *>(data)->append(piece, length);
        return true;
    };
    return guard([&] {
        check_pointer("text", text);
        const int code = luup_agent_generate_stream(agent, message, params, append, &whole);
        if (code != LUUP_SUCCESS) {
            throw Error(static_cast<luup_error>(code), luup_last_error_message());
        }
        *text = new_string(whole);
    });
}

void luup_string_free(char * text) {
    std::free(text);
}
