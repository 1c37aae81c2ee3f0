// Makes a failed allocation of ggml an exception, std::bad_alloc, where ggml ends the process or uses a null pointer.
// allocation_failures.patch includes this behind the system's headers, in files whose callers are C++: the exception
// passes through their C functions.
#pragma once

#include "ggml.h"

#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

// Throws std::bad_alloc.
GGML_NORETURN GGML_API void luup_no_memory(void);

#ifdef __cplusplus
}
#endif

static inline void * luup_checked(void * memory, size_t size) {
    if (!memory && size > 0) {
        luup_no_memory();
    }
    return memory;
}

static inline void * luup_malloc(size_t size) {
    return luup_checked(malloc(size), size);
}

static inline void * luup_calloc(size_t count, size_t size) {
    return luup_checked(calloc(count, size), count && size);
}

static inline void * luup_realloc(void * memory, size_t size) {
    return luup_checked(realloc(memory, size), size);
}

#define malloc luup_malloc
#define calloc luup_calloc
#define realloc luup_realloc
