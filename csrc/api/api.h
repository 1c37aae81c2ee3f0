// Shared by the files of the C API, which check arguments, turn exceptions into error codes, and call the classes
// behind.
#pragma once

#include "agent/agent.h"
#include "base/error.h"
#include "embed/embedder.h"
#include "luup_agent.h"
#include "model/model.h"
#include "agent/run.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

struct luup_model {
    std::shared_ptr<luup::Model> model;
};

struct luup_agent {
    std::shared_ptr<luup::Agent> agent;
};

struct luup_run {
    std::shared_ptr<luup::Run> run;
};

struct luup_waker {
    std::shared_ptr<luup::Waker> waker;
    const unsigned               generation = luup::fork_generation();  // of the process that made it
};

struct luup_embedder {
    std::shared_ptr<luup::Embedder> embedder;
};

namespace luup {

// Runs `body`. An exception becomes the return value and the thread's last error.
template <typename Body> int guard(Body && body) noexcept {
    try {
        body();
        return LUUP_SUCCESS;
    } catch (...) {
        const Failure failure = current_failure();
        return set_last_error(failure.code, failure.message);
    }
}

// Check and convert arguments: no null pointers, valid UTF-8. Throw Error(LUUP_ERROR_INVALID_PARAM) that contains
// `name`.
void                       check_pointer(const char * name, const void * pointer);
std::string                checked_text(const char * name, const char * text);
std::optional<std::string> optional_text(const char * name, const char * text);  // none for NULL
std::vector<std::string>   checked_texts(const char * name, const char * const * texts, size_t n_texts);
Sampling                   read_sampling(const luup_sampling_params * params);

// Reads an input structure of this or an older version: fields that the caller does not know keep their defaults.
template <typename T> T read_params(const char * name, const T * params, void (*defaults)(T *)) {
    T result;
    defaults(&result);
    if (params) {
        if (params->size < sizeof(size_t) || params->size > 65536) {
            fail(LUUP_ERROR_INVALID_PARAM, "%s->size is %zu: fill the structure with its default function first", name,
                 params->size);
        }
        std::memcpy(&result, params, std::min(params->size, sizeof(T)));
    }
    return result;
}

// Writes an output structure of this or an older version: only the fields that the caller knows.
template <typename T> void write_result(const char * name, T * to, T result) {
    check_pointer(name, to);
    const size_t size = to->size;
    if (size < sizeof(size_t) || size > 65536) {
        fail(LUUP_ERROR_INVALID_PARAM, "%s->size is %zu: set it to sizeof(*%s) first", name, size, name);
    }
    result.size = size;
    std::memcpy(to, &result, std::min(size, sizeof(T)));
}

// A copy for luup_string_free().
char * new_string(const std::string & text);

// Writes the first `capacity` tokens, and into `n_tokens` how many there are.
void write_tokens(const std::vector<llama_token> & from, int32_t * tokens, size_t capacity, size_t * n_tokens);

}  // namespace luup
