// What the files of the C boundary share: they check arguments, turn exceptions into codes, and hand on to the classes behind.
#pragma once

#include "agent.h"
#include "error.h"
#include "luup_agent.h"
#include "model.h"
#include "run.h"

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

namespace luup {

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

// These throw Error(LUUP_ERROR_INVALID_PARAM) with the argument's name.
void                       check_pointer(const char * name, const void * pointer);
std::string                checked_text(const char * name, const char * text);
std::optional<std::string> optional_text(const char * name, const char * text);
Sampling                   read_sampling(const luup_sampling_params * params);

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

// For luup_string_free().
char * new_string(const std::string & text);

// As many as there is room for, and how many there are.
void write_tokens(const std::vector<llama_token> & from, int32_t * tokens, size_t capacity, size_t * n_tokens);

}  // namespace luup
