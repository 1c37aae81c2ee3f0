// The C API: versions, backends, devices, schemas and strings; and the functions that its other files share.
#include "api/api.h"

#include "model/local.h"

#include "device/backends.h"
#include "base/log.h"
#include "base/text.h"

#include <cstdlib>

using namespace luup;

namespace luup {

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

std::vector<std::string> checked_texts(const char * name, const char * const * texts, size_t n_texts) {
    if (n_texts > 0) {
        check_pointer(name, texts);
    }
    std::vector<std::string> result;
    result.reserve(n_texts);
    for (size_t i = 0; i < n_texts; i++) {
        result.push_back(checked_text((std::string(name) + "[" + std::to_string(i) + "]").c_str(), texts[i]));
    }
    return result;
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

}  // namespace luup

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

int luup_schema_check(const char * schema) {
    return guard([&] { Schema::compile(checked_text("schema", schema)); });
}

int luup_pattern_check(const char * pattern) {
    return guard([&] { TextPattern(checked_text("pattern", pattern)).grammar(); });
}

int luup_grammar_check(const luup_model * model, const char * grammar) {
    return guard([&] {
        const std::string text = checked_text("grammar", grammar);
        if (!model || !model->model->local()) {
            Grammar::parse(text, nullptr);
        } else {
            Grammar::parse(text, model->model->use_weights("a grammar")->vocab());
        }
    });
}

void luup_string_free(char * text) {
    std::free(text);
}
