/* Each step of a program's life with the library, in which one call to the system fails: an allocation, a thread, a
 * process, an open, a read, a write. luup-injected model.gguf folder kind rounds seed
 *
 * The functions below take the place of libc's in every library of the process. A step must succeed or return an error
 * with a message, and the same step must succeed afterwards. Prints a line for each code that a step returned, and each
 * fault before it is injected, so that the last line names the one that ended the process. Linux with glibc only. */
#define _GNU_SOURCE
#include "luup_agent.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum kind { ALLOCATION, THREAD, PROCESS, OPEN, READ, WRITE, KINDS };

static const char * const names[KINDS] = { "allocation", "thread", "process", "open", "read", "write" };

static atomic_int  armed_kind = KINDS; /* KINDS: none */
static atomic_long calls_left;         /* of that kind until one fails */
static atomic_long calls_seen;

/* Returns whether this call is the one that fails. */
static int fails(enum kind kind) {
    if (atomic_load_explicit(&armed_kind, memory_order_relaxed) != (int) kind) {
        return 0;
    }
    atomic_fetch_add(&calls_seen, 1);
    return atomic_fetch_sub(&calls_left, 1) == 1;
}

/* ------------------------------------------------------------------------------------------------------------------
 * libc's functions
 * ------------------------------------------------------------------------------------------------------------------ */

extern void * __libc_malloc(size_t size);
extern void * __libc_calloc(size_t count, size_t size);
extern void * __libc_realloc(void * old, size_t size);
extern void * __libc_memalign(size_t alignment, size_t size);

static void * no_memory(void) {
    errno = ENOMEM;
    return NULL;
}

void * malloc(size_t size) {
    return fails(ALLOCATION) ? no_memory() : __libc_malloc(size);
}

void * calloc(size_t count, size_t size) {
    return fails(ALLOCATION) ? no_memory() : __libc_calloc(count, size);
}

void * realloc(void * old, size_t size) {
    return fails(ALLOCATION) ? no_memory() : __libc_realloc(old, size);
}

void * memalign(size_t alignment, size_t size) {
    return fails(ALLOCATION) ? no_memory() : __libc_memalign(alignment, size);
}

void * aligned_alloc(size_t alignment, size_t size) {
    return memalign(alignment, size);
}

int posix_memalign(void ** out, size_t alignment, size_t size) {
    void * memory = memalign(alignment, size);
    if (memory != NULL) {
        *out = memory;
    }
    return memory == NULL ? ENOMEM : 0;
}

#define ORIGINAL(name) ((__typeof__(&name)) dlsym(RTLD_NEXT, #name))

void * mmap(void * at, size_t size, int protection, int flags, int file, off_t offset) {
    static __typeof__(&mmap) original;
    if (original == NULL) {
        original = ORIGINAL(mmap);
    }
    if (fails(ALLOCATION)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return original(at, size, protection, flags, file, offset);
}

int pthread_create(pthread_t * thread, const pthread_attr_t * attributes, void * (*start)(void *), void * argument) {
    static __typeof__(&pthread_create) original;
    if (original == NULL) {
        original = ORIGINAL(pthread_create);
    }
    return fails(THREAD) ? EAGAIN : original(thread, attributes, start, argument);
}

pid_t fork(void) {
    static __typeof__(&fork) original;
    if (original == NULL) {
        original = ORIGINAL(fork);
    }
    if (fails(PROCESS)) {
        errno = EAGAIN;
        return -1;
    }
    const pid_t child = original();
    if (child == 0 && atomic_load(&armed_kind) == ALLOCATION) {
        atomic_store(&armed_kind, KINDS); /* a trial that lacks memory says that of what it tries, rightly */
    }
    return child;
}

#define OPENS(name)                                                               \
    int name(const char * path, int flags, ...) {                                 \
        static int (*original)(const char *, int, ...);                           \
        va_list arguments;                                                        \
        va_start(arguments, flags);                                               \
        const mode_t mode = va_arg(arguments, mode_t);                            \
        va_end(arguments);                                                        \
        if (original == NULL) {                                                   \
            original = (int (*)(const char *, int, ...)) dlsym(RTLD_NEXT, #name); \
        }                                                                         \
        if (fails(OPEN)) {                                                        \
            errno = EMFILE;                                                       \
            return -1;                                                            \
        }                                                                         \
        return original(path, flags, mode);                                       \
    }

OPENS(open)
OPENS(open64)

FILE * fopen(const char * path, const char * mode) {
    static __typeof__(&fopen) original;
    if (original == NULL) {
        original = ORIGINAL(fopen);
    }
    if (fails(OPEN)) {
        errno = EMFILE;
        return NULL;
    }
    return original(path, mode);
}

ssize_t read(int file, void * to, size_t size) {
    static __typeof__(&read) original;
    if (original == NULL) {
        original = ORIGINAL(read);
    }
    if (fails(READ)) {
        errno = EIO;
        return -1;
    }
    return original(file, to, size);
}

ssize_t pread(int file, void * to, size_t size, off_t offset) {
    static __typeof__(&pread) original;
    if (original == NULL) {
        original = ORIGINAL(pread);
    }
    if (fails(READ)) {
        errno = EIO;
        return -1;
    }
    return original(file, to, size, offset);
}

size_t fread(void * to, size_t size, size_t count, FILE * file) {
    static __typeof__(&fread) original;
    if (original == NULL) {
        original = ORIGINAL(fread);
    }
    if (fails(READ)) {
        errno = EIO;
        return 0;
    }
    return original(to, size, count, file);
}

#define WRITES(name, type, parameters, arguments) \
    type name parameters {                        \
        static __typeof__(&name) original;        \
        if (original == NULL) {                   \
            original = ORIGINAL(name);            \
        }                                         \
        if (fails(WRITE)) {                       \
            errno = ENOSPC;                       \
            return -1;                            \
        }                                         \
        return original arguments;                \
    }

WRITES(write, ssize_t, (int file, const void * from, size_t size), (file, from, size))
WRITES(pwrite, ssize_t, (int file, const void * from, size_t size, off_t offset), (file, from, size, offset))
WRITES(fsync, int, (int file), (file))
WRITES(rename, int, (const char * from, const char * to), (from, to))
WRITES(ftruncate, int, (int file, off_t size), (file, size))

/* ------------------------------------------------------------------------------------------------------------------
 * The steps
 * ------------------------------------------------------------------------------------------------------------------ */

static const char * model_path;
static char         saved_path[4096], todo_path[4096], cache_path[4096];
static luup_model * model;
static luup_agent * agent;
static luup_agent * loaded;
static char         answer[4096]; /* of the first run */

static void add(luup_run * run, const char * call_id, const char * arguments, void * user_data) {
    (void) arguments, (void) user_data;
    luup_run_submit_tool_result(run, call_id, "8", false);
}

static int load_model(void) {
    luup_model_params params;
    luup_model_default_params(&params);
    params.context_size = 1024;
    params.threads      = 2;
    params.prefix_cache = cache_path;
    return luup_model_load(model_path, &params, &model);
}

static int make_agent(void) {
    luup_agent_params    params;
    luup_sampling_params sampling;
    luup_tool_params     tool;
    luup_sampling_default_params(&sampling);
    sampling.temperature = 0;
    sampling.max_tokens  = 24;
    luup_agent_default_params(&params);
    params.system_prompt = "You add numbers.";
    params.sampling      = &sampling;
    int code             = luup_agent_create(model, &params, &agent);
    if (code != LUUP_SUCCESS) {
        return code;
    }
    luup_tool_default_params(&tool);
    tool.name        = "add";
    tool.description = "Adds two numbers.";
    tool.parameters =
        "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"integer\", \"maximum\": 99}, \"b\": {\"enum\": "
        "[1, 2]}}, "
        "\"required\": [\"a\", \"b\"], \"additionalProperties\": false}";
    tool.callback = add;
    code          = luup_agent_register_tool(agent, &tool);
    if (code == LUUP_SUCCESS) {
        code = luup_agent_enable_builtin_todo(agent, todo_path);
    }
    if (code != LUUP_SUCCESS) {
        luup_agent_destroy(agent);
        agent = NULL;
    }
    return code;
}

static int generate(luup_agent * by, const char * choice, const char * schema) {
    luup_run_params params;
    char *          text = NULL;
    luup_run_default_params(&params);
    params.tool_choice   = choice;
    params.output_schema = schema;
    const int code       = luup_agent_generate(by, "What is 5 + 3?", &params, &text);
    if (code == LUUP_SUCCESS) {
        snprintf(answer, sizeof(answer), "%s", text);
    }
    luup_string_free(text);
    return code == LUUP_ERROR_MAX_TURNS || code == LUUP_ERROR_INVALID_OUTPUT ? LUUP_SUCCESS : code; /* a small model */
}

static int run_typed(void) {
    return generate(
        agent, "none",
        "{\"type\": \"object\", \"properties\": {\"sum\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\": 99}, "
        "\"note\": {\"type\": \"string\", \"pattern\": \"^[a-z]{1,4}$\"}}, \"required\": [\"sum\", \"note\"]}");
}

static int run_tool(void) {
    return generate(agent, "add", NULL);
}

static int use_todo(void) {
    char *    text = NULL;
    const int code = luup_agent_call_builtin(agent, "todo_add", "{\"text\": \"Buy milk\"}", &text);
    luup_string_free(text);
    return code;
}

static int save_agent(void) {
    return luup_agent_save(agent, saved_path, "extra");
}

static int load_agent(void) {
    char *    extra = NULL;
    const int code  = luup_agent_load(model, saved_path, NULL, &loaded, &extra);
    luup_string_free(extra);
    return code;
}

static int run_loaded(void) {
    return generate(loaded, "none", NULL);
}

static int fork_agent(void) {
    luup_agent * other = NULL;
    const int    code  = luup_agent_fork(agent, model, &other);
    luup_agent_destroy(other);
    return code;
}

static int destroy_all(void) {
    luup_agent_destroy(loaded);
    luup_agent_destroy(agent);
    luup_model_destroy(model);
    loaded = agent = NULL;
    model          = NULL;
    return LUUP_SUCCESS;
}

typedef struct {
    const char * name;
    int (*run)(void);
    long calls; /* of the kind that is tried, without a fault */
} step;

static step steps[] = {
    { "load", load_model, 0 }, { "agent", make_agent, 0 },    { "typed", run_typed, 0 }, { "tool", run_tool, 0 },
    { "todo", use_todo, 0 },   { "save", save_agent, 0 },     { "open", load_agent, 0 }, { "continue", run_loaded, 0 },
    { "fork", fork_agent, 0 }, { "destroy", destroy_all, 0 },
};

enum { STEPS = sizeof(steps) / sizeof(steps[0]), CODES = 32 };

static long counts[STEPS][CODES];

static int perform(step * each, enum kind kind, long at) {
    atomic_store(&calls_seen, 0);
    atomic_store(&calls_left, at);
    atomic_store(&armed_kind, kind);
    const int code = each->run();
    atomic_store(&armed_kind, KINDS);
    return code;
}

static void stop(const char * step, const char * what, int code) {
    fprintf(stderr, "%s: %s: %s: %s\n", step, what, luup_error_name(code), luup_last_error_message());
    exit(1);
}

/* Whether a code may come of a failed call of that kind: it must not blame what the caller gave. */
static int is_right(enum kind kind, int code) {
    if (kind == ALLOCATION) {
        return code == LUUP_ERROR_OUT_OF_MEMORY;
    }
    return code == LUUP_ERROR_OUT_OF_MEMORY || code == LUUP_ERROR_IO || code == LUUP_ERROR_MODEL_LOAD_FAILED ||
           code == LUUP_ERROR_INFERENCE_FAILED || code == LUUP_ERROR_BACKEND_INIT_FAILED;
}

int main(int argc, char ** argv) {
    if (argc < 6) {
        fprintf(stderr, "usage: luup-injected MODEL FOLDER KIND ROUNDS SEED\n");
        return 2;
    }
    model_path = argv[1];
    snprintf(saved_path, sizeof(saved_path), "%s/saved.agent", argv[2]);
    snprintf(todo_path, sizeof(todo_path), "%s/todo.json", argv[2]);
    snprintf(cache_path, sizeof(cache_path), "%s/cache", argv[2]);
    int kind = 0;
    while (kind < KINDS && strcmp(names[kind], argv[3]) != 0) {
        kind++;
    }
    const int rounds = atoi(argv[4]);
    unsigned  random = (unsigned) atoi(argv[5]);
    if (kind == KINDS) {
        fprintf(stderr, "no kind %s\n", argv[3]);
        return 2;
    }
    luup_log_set_level(LUUP_LOG_NONE);
    /* Twice: what is made once and kept is made in the first round. */
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < STEPS; i++) {
            const int code = perform(&steps[i], kind, -1);
            if (code != LUUP_SUCCESS) {
                stop(steps[i].name, "without a fault", code);
            }
            steps[i].calls = atomic_load(&calls_seen);
        }
    }
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < STEPS; i++) {
            if (steps[i].calls > 0) {
                /* Evenly on a logarithmic scale for two of three: the first calls of a step are its own, and the last
                 * ones happen while it ends. */
                const double part = rand_r(&random) / (double) RAND_MAX;
                long         at   = 1 + (long) (part * (double) (steps[i].calls - 1));
                if (round % 3) {
                    at = 1;
                    while (at < steps[i].calls && rand_r(&random) % 8 != 0) {
                        at += 1 + at / 4;
                    }
                    if (at > steps[i].calls) {
                        at = steps[i].calls;
                    }
                    if (round % 3 == 2) {
                        at = steps[i].calls + 1 - at;
                    }
                }
                fprintf(stderr, "%s: %s %ld of %ld\n", steps[i].name, names[kind], at, steps[i].calls);
                alarm(60);
                const int code = perform(&steps[i], kind, at);
                alarm(0);
                counts[i][-code]++;
                if (code == LUUP_SUCCESS) {
                    continue;
                }
                if (!is_right(kind, code) || luup_last_error_message()[0] == '\0') {
                    stop(steps[i].name, "a wrong error", code);
                }
            }
            const int code = steps[i].run();
            if (code != LUUP_SUCCESS) {
                stop(steps[i].name, "after a fault", code);
            }
        }
    }
    for (int i = 0; i < STEPS; i++) {
        for (int code = 0; code < CODES; code++) {
            if (counts[i][code] > 0) {
                printf("%s %s %s %ld\n", names[kind], steps[i].name, luup_error_name(-code), counts[i][code]);
            }
        }
    }
    return 0;
}
