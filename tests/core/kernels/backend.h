// The backend of one CPU variant, and the memory that our kernels read weights from.
#pragma once

#include "check.h"

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml.h"

#include <cstring>
#include <memory>
#include <random>
#include <vector>

using Extra  = ggml_backend_buffer_type_t * (*)(ggml_backend_dev_t);
using Matrix = std::vector<float>;

// The module of the CPU variant under test.
inline ggml_backend_reg_t module = nullptr;

inline ggml_backend_buffer_type_t interleaved() {
    const auto list =
        reinterpret_cast<Extra>(ggml_backend_reg_get_proc_address(module, "ggml_backend_dev_get_extra_bufts"));
    for (auto * type = list(ggml_backend_reg_dev_get(module, 0)); *type; type++) {
        if (std::strcmp(ggml_backend_buft_name(*type), "CPU_INTERLEAVED") == 0) {
            return *type;
        }
    }
    return nullptr;
}

struct Freed {
    void operator()(ggml_context * context) const { ggml_free(context); }
    void operator()(ggml_backend * backend) const { ggml_backend_free(backend); }
    void operator()(ggml_backend_buffer * buffer) const { ggml_backend_buffer_free(buffer); }
};
template <class T> using Owned = std::unique_ptr<T, Freed>;

inline Owned<ggml_context> new_context() {
    return Owned<ggml_context>(ggml_init({ 1 << 16, nullptr, true }));
}

inline Owned<ggml_backend> new_backend(int threads) {
    Owned<ggml_backend> backend(ggml_backend_dev_init(ggml_backend_reg_dev_get(module, 0), nullptr));
    const auto          set = ggml_backend_reg_get_proc_address(module, "ggml_backend_set_n_threads");
    reinterpret_cast<ggml_backend_set_n_threads_t>(set)(backend.get(), threads);
    return backend;
}

// Registers a case of a file for each format of weights that has kernels.
inline bool register_formats(const char * file, void (*check)(ggml_type)) {
    for (const ggml_type type :
         { GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q5_1, GGML_TYPE_Q8_0, GGML_TYPE_Q4_K,
           GGML_TYPE_Q5_K, GGML_TYPE_Q6_K, GGML_TYPE_IQ4_NL, GGML_TYPE_IQ4_XS, GGML_TYPE_MXFP4 }) {
        RegisteredCase(file, ggml_type_name(type), [=] { check(type); });
    }
    return true;
}
