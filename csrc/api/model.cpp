// The C API: models.
#include "api/api.h"

#include "answer/chat_completions.h"
#include "base/log.h"
#include "model/estimate.h"
#include "model/fallback.h"
#include "model/local.h"
#include "model/remote.h"

using namespace luup;

namespace {

luup_model_params read_model_params(const luup_model_params * params) {
    const luup_model_params p = read_params("params", params, luup_model_default_params);
    optional_text("chat_template", p.chat_template);
    optional_text("prefix_cache", p.prefix_cache);
    optional_text("mmproj", p.mmproj);
    optional_text("weights_cache", p.weights_cache);
    optional_text("cache_type_k", p.cache_type_k);
    optional_text("cache_type_v", p.cache_type_v);
    optional_text("rope_scaling", p.rope_scaling);
    optional_text("draft", p.draft);
    if (p.n_devices > 0) {
        check_pointer("devices", p.devices);
    }
    if (p.n_tensor_split > 0) {
        check_pointer("tensor_split", p.tensor_split);
    }
    if (p.n_rpc_servers > 0) {
        check_pointer("rpc_servers", p.rpc_servers);
    }
    if (p.n_adapters > 0) {
        check_pointer("adapters", p.adapters);
    }
    if (p.n_adapters > most_adapters) {
        fail(LUUP_ERROR_INVALID_PARAM, "adapters has more than %zu entries", most_adapters);
    }
    for (size_t i = 0; i < p.n_adapters; i++) {
        const std::string at   = "adapters[" + std::to_string(i) + "]";
        const std::string name = checked_text((at + ".name").c_str(), p.adapters[i].name);
        checked_text((at + ".path").c_str(), p.adapters[i].path);
        if (name.empty()) {
            fail(LUUP_ERROR_INVALID_PARAM, "%s.name is empty", at.c_str());
        }
        for (size_t other = 0; other < i; other++) {
            if (name == p.adapters[other].name) {
                fail(LUUP_ERROR_INVALID_PARAM, "two of the adapters have the name \"%.80s\"", name.c_str());
            }
        }
    }
    const size_t limit = llama_max_devices();
    for (const auto & [name, count] : { std::pair("devices", p.n_devices), std::pair("tensor_split", p.n_tensor_split),
                                        std::pair("rpc_servers", p.n_rpc_servers) }) {
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

// Returns the value of a word of `choices`, whose first one is the default.
template <typename T>
T one_of(const char * name, const char * text, const std::vector<std::pair<std::string, T>> & choices) {
    const std::string word = optional_text(name, text).value_or(choices.front().first);
    std::string       words;
    for (const auto & [choice, value] : choices) {
        if (choice == word) {
            return value;
        }
        words += (words.empty() ? "\"" : &choice == &choices.back().first ? "\" or \"" : "\", \"") + choice;
    }
    fail(LUUP_ERROR_INVALID_PARAM, "%s must be %s\", not \"%.40s\"", name, words.c_str(), word.c_str());
}

LocalModel & local_of(const luup_model & model, const char * what) {
    model.model->check_process();
    LocalModel * local = model.model->local();
    if (!local) {
        fail(LUUP_ERROR_UNSUPPORTED, "%s needs a local model, and %s is a %s one", what, model.model->name().c_str(),
             model.model->info().architecture);
    }
    return *local;
}

}  // namespace

void luup_model_default_params(luup_model_params * params) {
    if (params) {
        *params               = {};
        params->size          = sizeof(*params);
        params->gpu_layers    = -1;
        params->context_size  = LUUP_CONTEXT_SIZE_DEFAULT;
        params->batch_size    = 512;
        params->max_waiting   = -1;
        params->cache_ram     = int64_t(1) << 30;
        params->use_mmap      = true;
        params->use_mtp       = true;
        params->split_mode    = LUUP_SPLIT_LAYER;
        params->rope_factor   = 1;
        params->keep_alive_ms = -1;

        params->weights_cache_size = LUUP_WEIGHTS_CACHE_SIZE_DEFAULT;
    }
}

int luup_model_load(const char * path, const luup_model_params * params, luup_model ** model) {
    return guard([&] {
        check_pointer("model", model);
        const std::string file = checked_text("path", path);
        *model                 = new luup_model{ std::make_shared<LocalModel>(file, read_model_params(params)) };
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
        const luup_remote_params p    = read_params("params", params, luup_remote_default_params);
        const std::string        name = checked_text("params->model", p.model);
        if (name.empty()) {
            fail(LUUP_ERROR_INVALID_PARAM, "params->model is empty");
        }
        const auto format = one_of<ResponseFormat>("response_format", p.response_format,
                                                   { { "json_schema", ResponseFormat::JsonSchema },
                                                     { "json_object", ResponseFormat::JsonObject },
                                                     { "none", ResponseFormat::None } });
        const auto fields = one_of<FieldsBack>(
            "message_fields", p.message_fields,
            { { "auto", FieldsBack::Auto }, { "all", FieldsBack::All }, { "none", FieldsBack::None } });
        const auto empty = one_of<EmptyContent>("empty_content", p.empty_content,
                                                { { "auto", EmptyContent::Auto },
                                                  { "null", EmptyContent::Null },
                                                  { "text", EmptyContent::Text },
                                                  { "absent", EmptyContent::Absent } });
        *model           = new luup_model{ std::make_shared<RemoteModel>(
            std::make_unique<ChatCompletions>(name, optional_text("extra_body", p.extra_body).value_or(""),
                                              std::make_shared<ServerHabits>(format, fields, empty))) };
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
        *model = new luup_model{ FallbackModel::make(all) };
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
        const auto local = model->model->use_local("luup_model_get_stats");
        write_result("stats", stats, local->stats());
    });
}

int luup_model_warmup(luup_model * model) {
    return guard([&] {
        check_pointer("model", model);
        const auto local = model->model->use_weights("luup_model_warmup");
        local->engine().warmup();
    });
}

int luup_model_unload(luup_model * model) {
    return guard([&] {
        check_pointer("model", model);
        local_of(*model, "luup_model_unload").unload();
    });
}

int luup_model_is_loaded(const luup_model * model, bool * loaded) {
    return guard([&] {
        check_pointer("model", model);
        check_pointer("loaded", loaded);
        *loaded = local_of(*model, "luup_model_is_loaded").ready();
    });
}

int luup_model_tokenize(const luup_model * model, const char * text, bool parse_special, int32_t * tokens,
                        size_t capacity, size_t * n_tokens) {
    return guard([&] {
        check_pointer("model", model);
        const std::string input = checked_text("text", text);
        const auto        local = model->model->use_weights("luup_model_tokenize");
        write_tokens(tokenize_text(local->vocab(), input, false, parse_special), tokens, capacity, n_tokens);
    });
}

int luup_model_detokenize(const luup_model * model, const int32_t * tokens, size_t n_tokens, char ** text) {
    return guard([&] {
        check_pointer("model", model);
        check_pointer("text", text);
        if (n_tokens > 0) {
            check_pointer("tokens", tokens);
        }
        const auto   local = model->model->use_weights("luup_model_detokenize");
        const auto * vocab = local->vocab();
        std::string  bytes;
        for (size_t i = 0; i < n_tokens; i++) {
            if (tokens[i] < 0 || tokens[i] >= llama_vocab_n_tokens(vocab)) {
                fail(LUUP_ERROR_INVALID_PARAM, "tokens[%zu] is %d; the vocabulary has %d tokens", i, tokens[i],
                     llama_vocab_n_tokens(vocab));
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
