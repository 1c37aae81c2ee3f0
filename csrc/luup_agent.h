/*
 * luup_agent.h - AI agents on a language model, in your own process.
 *
 * Introduction
 *
 *   A *model* is a GGUF file loaded by llama.cpp, with one thread that decodes for everybody. An *agent* is a system
 *   prompt, sampling settings and a history on top of a model; make as many as you like. A *run* is one user message being
 *   answered: you pull its events, nothing calls you back. Agents that run at the same time are decoded in one batch.
 *
 *   #include <stdio.h>
 *   #include "luup_agent.h"
 *
 *   int main(int argc, char ** argv) {
 *       luup_model * model = NULL;
 *       luup_agent * agent = NULL;
 *       luup_run   * run   = NULL;
 *       luup_event   event;
 *
 *       event.type = LUUP_EVENT_NONE;
 *       if (argc > 1 && luup_model_load(argv[1], NULL, &model) == LUUP_SUCCESS &&
 *           luup_agent_create(model, NULL, &agent) == LUUP_SUCCESS &&
 *           luup_run_start(agent, "What is the capital of France?", NULL, &run) == LUUP_SUCCESS) {
 *           while (luup_run_next(run, -1, &event) == LUUP_SUCCESS && event.type < LUUP_EVENT_DONE) {
 *               if (event.type == LUUP_EVENT_TEXT) fputs(event.text, stdout);
 *           }
 *       }
 *       if (event.type != LUUP_EVENT_DONE) fprintf(stderr, "%s\n", luup_last_error_message());
 *       luup_run_destroy(run);
 *       luup_agent_destroy(agent);
 *       luup_model_destroy(model);
 *       return event.type == LUUP_EVENT_DONE ? 0 : 1;
 *   }
 *
 * Errors
 *
 *   Functions that can fail return an `int`: LUUP_SUCCESS (0) or a negative luup_error code; results come through the last
 *   parameters and are untouched on failure. luup_last_error_message() then tells, for the calling thread, what was wrong.
 *
 * Threads
 *
 *   Every function may be called from any thread. One handle may be used by several threads at once, with two exceptions: its
 *   destroy function must not race with another use of it, and luup_run_next() has one caller at a time for each run.
 *
 * Ownership
 *
 *   What a function named `load`, `create` or `start` gives is yours, to be passed to the `destroy` of its noun. Every
 *   `destroy` and `free` accepts NULL. An agent keeps its model's memory alive, a run its agent's: any order of destruction
 *   is safe. `const char *` results belong to the handle they came from unless told otherwise. Strings are UTF-8 and
 *   end with a zero byte; text that is not valid UTF-8 is refused with LUUP_ERROR_INVALID_PARAM.
 *
 * Fork
 *
 *   Threads do not survive fork(). In the child, a model loaded by the parent, its agents and runs answer every call with
 *   LUUP_ERROR_FORKED; destroying them there is safe and does nothing. Load a model of its own in the child.
 *
 * Structures with a `size` field
 *
 *   Fill them with their `*_default_params()` (inputs) or set `size = sizeof(the structure)` (outputs). A later version may
 *   append fields; `size` tells the library which of them the caller knows.
 */
#ifndef LUUP_AGENT_H
#define LUUP_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#    if defined(LUUP_BUILD)
#        define LUUP_API __declspec(dllexport)
#    else
#        define LUUP_API __declspec(dllimport)
#    endif
#else
#    define LUUP_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct luup_model luup_model; /* a loaded model and the thread that decodes for it */
typedef struct luup_agent luup_agent; /* a system prompt, settings and a history */
typedef struct luup_run   luup_run;   /* one user message being answered */

/* ---------------------------------------------------------------------------------------------------------------------
 * Errors
 * ------------------------------------------------------------------------------------------------------------------ */

typedef enum luup_error {
    LUUP_SUCCESS                   = 0,
    LUUP_ERROR_INVALID_PARAM       = -1,  /* an argument is wrong; the message names it */
    LUUP_ERROR_OUT_OF_MEMORY       = -2,
    LUUP_ERROR_MODEL_NOT_FOUND     = -3,  /* no such file */
    LUUP_ERROR_INFERENCE_FAILED    = -4,  /* llama.cpp could not decode */
    LUUP_ERROR_TOOL_NOT_FOUND      = -5,
    LUUP_ERROR_JSON_PARSE_FAILED   = -6,
    LUUP_ERROR_HTTP_FAILED         = -7,
    LUUP_ERROR_BACKEND_INIT_FAILED = -8,  /* no usable CPU variant, or the GPU that was asked for is not there */
    LUUP_ERROR_MODEL_LOAD_FAILED   = -9,  /* the file is not a model that can generate text, or is damaged */
    LUUP_ERROR_CONTEXT_FULL        = -10, /* the text does not fit the context; the message tells the counts */
    LUUP_ERROR_INVALID_SCHEMA      = -11,
    LUUP_ERROR_CHAT_TEMPLATE       = -12, /* the model's chat template can't be used */
    LUUP_ERROR_CANCELLED           = -13, /* luup_run_cancel() was called */
    LUUP_ERROR_TIMED_OUT           = -14, /* the run's timeout passed */
    LUUP_ERROR_CLOSED              = -15, /* the model was closed */
    LUUP_ERROR_BUSY                = -16, /* the agent is answering another message */
    LUUP_ERROR_UNSUPPORTED         = -17,
    LUUP_ERROR_IO                  = -18,
    LUUP_ERROR_FORKED              = -19, /* the handle belongs to the parent process */
    LUUP_ERROR_INTERNAL            = -20, /* a bug in this library; please report it */
    LUUP_ERROR_INVALID_OUTPUT      = -21, /* the answer is not what the output schema asks for: cut off, or wrong after all retries */
    LUUP_ERROR_MAX_TURNS           = -22  /* the model still called tools after max_turns turns */
} luup_error;

/* The code of the calling thread's last failed call, LUUP_SUCCESS if none failed yet. Successful calls don't reset it. */
LUUP_API int luup_last_error_code(void);

/* The message of the calling thread's last failed call, "" if none failed yet. Never NULL; valid until the thread's next failure. */
LUUP_API const char * luup_last_error_message(void);

/* The name of a code, such as "LUUP_ERROR_BUSY"; "LUUP_ERROR_UNKNOWN" for a number that is not a code. Static memory. */
LUUP_API const char * luup_error_name(int code);

/* A short English text for a code. Static memory, never NULL. */
LUUP_API const char * luup_error_text(int code);

/* ---------------------------------------------------------------------------------------------------------------------
 * Versions and logs
 * ------------------------------------------------------------------------------------------------------------------ */

/* This library's version, such as "0.1.0". Static memory. */
LUUP_API const char * luup_version(void);

/* The version and commit of the llama.cpp inside, such as "0.5.0-dev (0c1e57098)". Static memory. */
LUUP_API const char * luup_llama_version(void);

typedef enum luup_log_level {
    LUUP_LOG_DEBUG = 1,
    LUUP_LOG_INFO  = 2,
    LUUP_LOG_WARN  = 3,
    LUUP_LOG_ERROR = 4,
    LUUP_LOG_NONE  = 5
} luup_log_level;

/* Keeps log records of `level` and above, for the whole process; LUUP_LOG_WARN at start. */
LUUP_API void luup_log_set_level(luup_log_level level);

/* Takes the oldest waiting log record: writes up to `capacity` bytes of its text (cut, always zero-terminated) into
 * `text` and its level into `level`. Returns false if none waits. The newest 1,000 records are kept. Nothing is ever
 * written to stderr. */
LUUP_API bool luup_log_next(luup_log_level * level, char * text, size_t capacity);

/* ---------------------------------------------------------------------------------------------------------------------
 * Devices
 * ------------------------------------------------------------------------------------------------------------------ */

typedef enum luup_device_type {
    LUUP_DEVICE_CPU         = 0,
    LUUP_DEVICE_GPU         = 1, /* with memory of its own */
    LUUP_DEVICE_IGPU        = 2, /* shares the host's memory */
    LUUP_DEVICE_ACCELERATOR = 3
} luup_device_type;

/* All strings live as long as the process. */
typedef struct luup_device_info {
    size_t           size;
    const char *     name;         /* "CPU", "CUDA0" */
    const char *     description;  /* "AMD EPYC …" */
    const char *     backend;      /* "CPU", "CUDA", "Metal", "Vulkan" */
    luup_device_type type;
    uint64_t         memory_free;  /* bytes; 0 = unknown */
    uint64_t         memory_total; /* bytes; 0 = unknown */
} luup_device_info;

/* The CPU variant that was chosen when the library first needed one. Strings live as long as the process. */
typedef struct luup_cpu_variant {
    size_t       size;
    const char * name;   /* "haswell", "zen4", "sapphirerapids", …; "native" in a build with one variant */
    const char * path;   /* the file it was loaded from */
    const char * reason; /* why this one: a line of English */
} luup_cpu_variant;

/* A file with code for one kind of device: a CPU variant that was chosen, or a GPU backend. Strings live as long as the process. */
typedef struct luup_backend_info {
    size_t       size;
    const char * name;   /* "CPU", "CUDA", "Metal", "Vulkan"; the file's own name if it was not loaded */
    const char * path;   /* the file, or the folder of a package whose version is refused */
    const char * reason; /* why it was not loaded: a line of English; "" if it was */
    size_t       n_devices;
} luup_backend_info;

/* Names a folder of further backends, that of a package for one kind of GPU. `version` is the package's: it must be this
 * library's own, because the two are made of the same llama.cpp; LUUP_ERROR_BACKEND_INIT_FAILED if it is not, and the refusal is
 * told again when a GPU is asked for. LUUP_ERROR_UNSUPPORTED if the backends are loaded already. */
LUUP_API int luup_backends_add(const char * folder, const char * version);

/* The number of backends that were loaded or refused, 0 if they can't be loaded. */
LUUP_API size_t luup_backend_count(void);

/* Describes backend `index` (0 … count-1). */
LUUP_API int luup_backend_get(size_t index, luup_backend_info * info);

/* Loads the CPU variant and the GPU backends that lie beside this library and in the folders added, once; later calls answer at once.
 * Loading a model does it too. The environment variable LUUP_CPU_VARIANT names a variant to use instead of the best.
 * LUUP_ERROR_BACKEND_INIT_FAILED if no variant runs here, or the named one is missing or does not run on this CPU. */
LUUP_API int luup_backends_load(void);

/* The number of devices, 0 if the backends can't be loaded. */
LUUP_API size_t luup_device_count(void);

/* Describes device `index` (0 … count-1). */
LUUP_API int luup_device_get(size_t index, luup_device_info * info);

/* Describes the CPU variant in use. */
LUUP_API int luup_cpu_variant_get(luup_cpu_variant * variant);

/* ---------------------------------------------------------------------------------------------------------------------
 * Models
 * ------------------------------------------------------------------------------------------------------------------ */

/* context_size: the model's own training context, at most 8,192 tokens. */
#define LUUP_CONTEXT_SIZE_DEFAULT (-2147483647 - 1)

/* Called while a model loads, from the loading thread, with 0.0 … 1.0; returning false stops the load (LUUP_ERROR_CANCELLED). */
typedef bool (*luup_load_progress)(float progress, void * user_data);

/* How several GPUs share a model. */
typedef enum luup_split_mode {
    LUUP_SPLIT_NONE  = 0, /* they don't: `main_gpu` has all of it */
    LUUP_SPLIT_LAYER = 1, /* each has some of the layers, with their KV cache */
    LUUP_SPLIT_ROW   = 2  /* as LAYER, and large tensors are divided by rows where the backend can */
} luup_split_mode;

typedef struct luup_model_params {
    size_t             size;
    int32_t            gpu_layers;    /* layers to put on a GPU; -1 = all if there is a GPU, else none; > 0 needs a GPU */
    int32_t            context_size;  /* tokens, at least 256; all runs together share it. LUUP_CONTEXT_SIZE_DEFAULT */
    int32_t            batch_size;    /* tokens decoded in one step at most, 32 … 4096 (512) */
    int32_t            threads;       /* for decoding; 0 = as many as the machine grants, at most 512 */
    int32_t            threads_batch; /* for prefill; 0 = as `threads` */
    int32_t            max_sequences; /* runs decoded at once, and histories kept warm: 1 … 256 (64) */
    int32_t            max_waiting;   /* runs that wait for their turn; one more is LUUP_ERROR_BUSY. -1 = no bound (-1) */
    int64_t            cache_ram;     /* bytes for histories that have to leave the context; 0 = they are computed again (1 GiB) */
    bool               use_mmap;      /* map the file instead of reading it (true) */
    bool               use_mlock;     /* keep it from being swapped out (false) */
    const char *       prefix_cache;  /* a folder for what agents begin with, system prompt and tools, so that the next process need not compute it;
                                       * made if it is not there, at most 4 GiB; trusted as a model's file is. NULL = none */
    const char *       chat_template; /* a Jinja template instead of the model's own; NULL = the model's */
    luup_load_progress progress;      /* may be NULL */
    void *             user_data;     /* for `progress` */

    const char * const * devices;     /* names of GPUs, as luup_device_get() tells them; NULL = all, integrated ones if there are no others */
    size_t               n_devices;
    luup_split_mode      split_mode;  /* LUUP_SPLIT_LAYER */
    int32_t              main_gpu;    /* for LUUP_SPLIT_NONE: which of `devices`, from 0 (0) */
    const float *        tensor_split; /* each GPU's share; only their ratio counts. NULL = by their free memory */
    size_t               n_tensor_split; /* as many as GPUs are used */

    const char * const * rpc_servers;    /* "host:port" of llama.cpp's RPC servers, whose devices are used like GPUs, before those of this machine. NULL =
                                          * none. What goes there is neither encrypted nor authenticated: trusted networks only. A server that
                                          * is not there is LUUP_ERROR_BACKEND_INIT_FAILED; one that goes away later is
                                          * LUUP_ERROR_INFERENCE_FAILED for all runs of the model, from then on */
    size_t               n_rpc_servers;
} luup_model_params;

/* Fills `params` with the defaults given above in parentheses. NULL is ignored. */
LUUP_API void luup_model_default_params(luup_model_params * params);

/* Strings belong to the model. */
typedef struct luup_model_info {
    size_t       size;
    const char * path;
    const char * description;           /* "llama ?B Q4_1" */
    const char * architecture;          /* "llama", "qwen2", "gemma3", … */
    const char * file_type;             /* "Q4_1", "Q4_K - Medium", "F16", … */
    const char * backend;               /* where the layers run: "CPU", "CUDA", … */
    const char * device;                /* that device's description */
    const char * cpu_variant;
    const char * chat_template;         /* the Jinja source in use */
    uint64_t     parameters;            /* the number of weights */
    uint64_t     memory_weights;        /* bytes */
    uint64_t     memory_context;        /* bytes of KV cache */
    uint64_t     memory_compute;        /* bytes of scratch buffers */
    int32_t      context_size;          /* tokens */
    int32_t      training_context_size; /* tokens */
    int32_t      vocabulary_size;
    int32_t      embedding_size;
    int32_t      layers;
    int32_t      gpu_layers;            /* those on a GPU */
    int32_t      threads;
    int32_t      threads_batch;
    int32_t      batch_size;
    int32_t      max_sequences;
    double       load_seconds;
} luup_model_info;

/* What the decoding thread does and has done; a snapshot. */
typedef struct luup_model_stats {
    size_t   size;
    int32_t  runs_active;      /* being prefilled or decoded */
    int32_t  runs_waiting;     /* for a sequence or for room in the context */
    int32_t  sequences_active; /* of runs */
    int32_t  sequences_parked; /* kept warm for the next turn of an agent */
    int32_t  context_used;     /* tokens of the context in use; shared prefixes count once */
    uint64_t tokens_prefilled; /* since the model was loaded */
    uint64_t tokens_cached;    /* prompt tokens that needed no prefill */
    uint64_t tokens_decoded;   /* sampled, of all answers */
    uint64_t batches;          /* calls of llama_decode */
    uint64_t batch_tokens;     /* decoded in all of them, prompts and drafts included */
    int32_t  largest_batch;    /* tokens */
    uint64_t prefixes_loaded;  /* from prefix_cache */
    uint64_t tokens_drafted;   /* guessed and checked */
    uint64_t drafts_accepted;  /* of these, the right ones */
    uint64_t evictions;        /* parked sequences that had to leave the context, to RAM or for good */
    uint64_t restored;         /* of these, that came back from RAM */
    int32_t  sequences_in_ram;
    uint64_t ram_used;         /* bytes that they take */
    uint64_t preemptions;      /* runs set back into the queue for room, to be computed again */
} luup_model_stats;

/* Loads a GGUF file. `params` may be NULL for the defaults. Blocks until it is loaded (most of it is disk time).
 * LUUP_ERROR_MODEL_NOT_FOUND, _MODEL_LOAD_FAILED (not a GGUF file, damaged, no text generation model),
 * _CHAT_TEMPLATE, _BACKEND_INIT_FAILED, _INVALID_PARAM, _OUT_OF_MEMORY, _CANCELLED. */
LUUP_API int luup_model_load(const char * path, const luup_model_params * params, luup_model ** model);

/* What a model will take, in bytes. */
typedef struct luup_memory_estimate {
    size_t   size;
    uint64_t memory_weights;
    uint64_t memory_context; /* KV cache; recurrent states */
    uint64_t memory_compute; /* scratch buffers */
    uint64_t memory_host;    /* of these three, what lies in the host's memory */
    uint64_t memory_devices; /* and on GPUs */
    uint64_t host_available; /* what the machine can still give; 0 = unknown */
    uint64_t devices_free;   /* of the GPUs that would be used; 0 = none, or unknown */
    int32_t  context_size;   /* tokens */
    int32_t  layers;
    int32_t  gpu_layers;     /* those on a GPU */
} luup_memory_estimate;

/* Tells what luup_model_load() with the same arguments will take, from the file's header alone: no weight is read, and no cache is
 * made. Fills `estimate`, whose `size` field must be set. The errors are luup_model_load()'s. */
LUUP_API int luup_model_estimate(const char * path, const luup_model_params * params, luup_memory_estimate * estimate);

/* How a model is asked for that an OpenAI-compatible server answers with. This library speaks the protocol; the bytes are yours to move: a run
 * gives a LUUP_EVENT_COMPLETION_REQUEST, see luup_run_push_chunk(). Addresses and keys never come here. */
typedef struct luup_remote_params {
    size_t       size;
    const char * model;           /* the name that the server knows it by; not NULL */
    const char * extra_body;      /* JSON object merged into each request's body (RFC 7396: null takes a field away); NULL = nothing */
    const char * response_format; /* how a typed result is asked for: "json_schema", "json_object" or "none"; NULL = "json_schema" */
} luup_remote_params;

/* Fills `params` with zeros. NULL is ignored. */
LUUP_API void luup_remote_default_params(luup_remote_params * params);

/* Makes a remote model, for agents as a local one. What needs its tokens fails with LUUP_ERROR_UNSUPPORTED: luup_model_tokenize() and its like,
 * luup_model_get_stats(), luup_model_warmup(), luup_agent_get_context(), luup_agent_get_prompt(), the `choices` of a run, and the
 * conveniences luup_agent_generate() and luup_agent_generate_stream(), which have nobody to send a request.
 * LUUP_ERROR_INVALID_PARAM, LUUP_ERROR_JSON_PARSE_FAILED. */
LUUP_API int luup_model_create_remote(const luup_remote_params * params, luup_model ** model);

/* Makes a model of `n_models` (1 … 64) local and remote ones, whose memory it shares: the first one answers, and when it fails before anything of an answer was told,
 * the next one does, to the end of the run. What needs tokens is LUUP_ERROR_UNSUPPORTED as above. Closing it leaves the models open. */
LUUP_API int luup_model_create_fallback(luup_model * const * models, size_t n_models, luup_model ** model);

/* Fills `info`, whose `size` field must be set. Answers after luup_model_close() too. */
LUUP_API int luup_model_get_info(const luup_model * model, luup_model_info * info);

/* Fills `stats`, whose `size` field must be set. */
LUUP_API int luup_model_get_stats(const luup_model * model, luup_model_stats * stats);

/* Decodes a token so that the weights are in memory before the first run. Blocks; waits behind the active runs. */
LUUP_API int luup_model_warmup(luup_model * model);

/* Splits `text` into tokens. Writes at most `capacity` of them and always the full number into `n_tokens`; `tokens` may
 * be NULL if `capacity` is 0. With `parse_special`, the names of control tokens in the text become those tokens: only for text that
 * you wrote yourself. No beginning-of-text token is added. */
LUUP_API int luup_model_tokenize(const luup_model * model, const char * text, bool parse_special, int32_t * tokens, size_t capacity, size_t * n_tokens);

/* The text of `tokens`, control tokens by their names, in `text`: free it with luup_string_free(). Bytes that are not
 * UTF-8 become U+FFFD. */
LUUP_API int luup_model_detokenize(const luup_model * model, const int32_t * tokens, size_t n_tokens, char ** text);

/* Ends every run of the model with LUUP_ERROR_CLOSED, stops its thread and frees its memory. Later calls on it, its
 * agents and runs fail with LUUP_ERROR_CLOSED, except luup_model_get_info() and reading histories. Closing twice is fine. */
LUUP_API int luup_model_close(luup_model * model);

/* Closes the model and gives the handle back. */
LUUP_API void luup_model_destroy(luup_model * model);

/* ---------------------------------------------------------------------------------------------------------------------
 * Agents
 * ------------------------------------------------------------------------------------------------------------------ */

/* seed: a new random one for each run. */
#define LUUP_SEED_RANDOM 0xFFFFFFFF

typedef struct luup_sampling_params {
    size_t               size;
    float                temperature;    /* 0 = greedy; at most 100 (0.7) */
    float                top_p;          /* 0 … 1; 1 = off (0.95) */
    float                min_p;          /* 0 … 1; 0 = off (0.05) */
    int32_t              top_k;          /* 0 = off (40) */
    float                repeat_penalty; /* 1 = off; more than 0, at most 10 (1.0) */
    int32_t              repeat_last_n;  /* tokens that the penalty looks back, 0 … 65536 (64) */
    uint32_t             seed;           /* LUUP_SEED_RANDOM */
    int32_t              max_tokens;     /* of one answer; -1 = until the context is full (512) */
    const char * const * stop;           /* the answer ends before any of these texts; none may be empty; NULL if none */
    size_t               n_stop;         /* at most 64 */
    bool                 jump_forward;   /* what a schema or a tool's format dictates is decoded in one batch instead of token by token: the same up to near ties (true) */
    bool                 prompt_lookup;  /* where the answer repeats a text, what followed there is drafted and checked in one decode; only as long
                                          * as that is faster. What is sampled is the same up to near ties (true) */
} luup_sampling_params;

/* Fills `params` with the defaults given above in parentheses. NULL is ignored. */
LUUP_API void luup_sampling_default_params(luup_sampling_params * params);

typedef struct luup_agent_params {
    size_t                       size;
    const char *                 system_prompt;  /* NULL or "" = none */
    const luup_sampling_params * sampling;       /* NULL = the defaults; copied */
    bool                         enable_history; /* false: every run starts afresh, and several may go on at once (true) */
} luup_agent_params;

/* Fills `params` with the defaults given above in parentheses. NULL is ignored. */
LUUP_API void luup_agent_default_params(luup_agent_params * params);

/* How the context of an agent's next run would be filled, in tokens. */
typedef struct luup_context_usage {
    size_t  size;
    int32_t total;   /* the model's context */
    int32_t system;  /* the system prompt with the template's text around it */
    int32_t history; /* the messages */
    int32_t free;    /* what is left for the next message and its answer */
    int32_t tools;   /* the agent's tools, as the template or this library describes them */
} luup_context_usage;

/* Makes an agent. `params` may be NULL; its strings are copied. The agent shares ownership of the model. */
LUUP_API int luup_agent_create(luup_model * model, const luup_agent_params * params, luup_agent ** agent);

/* Makes an agent with the settings, the tools and the history of another, which go different ways from here. The history's part of the
 * context is shared: the fork's first run prefills its own message only. What a run of `agent` that goes on now adds is not in it.
 * `model`: the one that the fork answers with; NULL = the same. */
LUUP_API int luup_agent_fork(const luup_agent * agent, luup_model * model, luup_agent ** fork);

/* Writes the agent's system prompt, history and, where it is warm, its part of the context to a file; with `extra` (may be NULL), a text of your
 * own. The size is that of the KV cache of its tokens. An existing file is replaced at once or stays as it is. LUUP_ERROR_IO, LUUP_ERROR_BUSY. */
LUUP_API int luup_agent_save(const luup_agent * agent, const char * path, const char * extra);

/* Makes an agent of a file that luup_agent_save() wrote, with history enabled. `sampling` may be NULL for the defaults; `extra`, if not NULL,
 * gets what was saved with it: free it with luup_string_free(). Its part of the context comes back without a prefill if the model's file,
 * its template and this library's build are the same, and cache_ram has room; else, or if that part of the file is damaged, the log says why
 * in a warning and the next run computes it again. LUUP_ERROR_IO: the file can't be read, is none, or its history is damaged. The file is trusted as
 * a model's is: load none that a stranger made. */
LUUP_API int luup_agent_load(luup_model * model, const char * path, const luup_sampling_params * sampling, luup_agent ** agent, char ** extra);

/* Gives the handle back. Its runs go on until they end or are destroyed themselves. */
LUUP_API void luup_agent_destroy(luup_agent * agent);

/* Appends a message to the history. `role`: "user" or "assistant". LUUP_ERROR_BUSY while a run is going on. */
LUUP_API int luup_agent_add_message(luup_agent * agent, const char * role, const char * content);

/* Empties the history; the system prompt stays. LUUP_ERROR_BUSY while a run is going on. */
LUUP_API int luup_agent_clear_history(luup_agent * agent);

/* A tool's function for luup_agent_generate() and luup_agent_generate_stream(), called in their thread. It answers the call with
 * luup_run_submit_tool_result() before it returns; if it does not, the model is told that the tool gave nothing. */
typedef void (*luup_tool_callback)(luup_run * run, const char * call_id, const char * arguments, void * user_data);

typedef struct luup_tool_params {
    size_t             size;
    const char *       name;        /* 1 … 64 letters, digits, "_" or "-" */
    const char *       description; /* for the model; may be NULL */
    const char *       parameters;  /* JSON Schema of an object; NULL = no parameters */
    luup_tool_callback callback;    /* may be NULL: the calls come as events only */
    void *             user_data;   /* for `callback` */
} luup_tool_params;

/* Fills `params` with zeros. NULL is ignored. */
LUUP_API void luup_tool_default_params(luup_tool_params * params);

/* Gives the agent's later runs a tool; strings are copied. LUUP_ERROR_INVALID_PARAM (the name is wrong or taken),
 * LUUP_ERROR_INVALID_SCHEMA (the message has the JSON pointer of what can be neither enforced nor checked). */
LUUP_API int luup_agent_register_tool(luup_agent * agent, const luup_tool_params * params);

/* Takes a tool away from the agent's later runs. LUUP_ERROR_TOOL_NOT_FOUND. */
LUUP_API int luup_agent_unregister_tool(luup_agent * agent, const char * name);

/* Gives the agent's later runs the built-in tools todo_add, todo_list, todo_complete and todo_delete. They run inside the library: their calls
 * come as TOOL_RESULT events and wait for nobody. `path`: a JSON file, made when it is first needed and shared with other agents and processes;
 * it is written whole or not at all. NULL: the list is in memory and ends with the agent and its forks. LUUP_ERROR_INVALID_PARAM (a tool of that
 * name is there already), LUUP_ERROR_IO (the file can't be used, or is damaged: it is left as it is). */
LUUP_API int luup_agent_enable_builtin_todo(luup_agent * agent, const char * path);

/* The same for notes: note_create, note_read, note_update, note_delete, note_search and note_list. */
LUUP_API int luup_agent_enable_builtin_notes(luup_agent * agent, const char * path);

/* When the prompt of a run would take more than `threshold` of the context, or leave no room for max_tokens, the oldest messages of the history
 * give way to a summary of them; tool calls and their results stay together. */
typedef struct luup_summarization_params {
    size_t size;
    float  threshold; /* of the context; more than 0, at most 1 (0.75) */
    float  keep;      /* of the history's messages, the newest: they stay as they are if that makes enough room; 0 … less than 1 (0.4) */
    bool   by_host;   /* the run asks for the summary with LUUP_EVENT_SUMMARY_REQUEST; else the model writes it (false) */
    bool   tool;      /* offer the model a tool "summarization" with the actions status, trigger, enable and disable (false) */
} luup_summarization_params;

/* Fills `params` with the defaults given above in parentheses. NULL is ignored. */
LUUP_API void luup_summarization_default_params(luup_summarization_params * params);

/* Turns summarization on, or changes how it is done; a new agent has it off. `params` may be NULL for the defaults. A run that summarizes tells so with
 * LUUP_EVENT_SUMMARIZED; the history changes when it ends with DONE. LUUP_ERROR_INVALID_PARAM. */
LUUP_API int luup_agent_enable_builtin_summarization(luup_agent * agent, const luup_summarization_params * params);

/* Calls a built-in tool as the model would, with a JSON object: its result as JSON, in full, free it with luup_string_free(). "summarization"
 * can be called always. LUUP_ERROR_TOOL_NOT_FOUND (it was not enabled), LUUP_ERROR_INVALID_PARAM (the arguments, or no such id), LUUP_ERROR_IO. */
LUUP_API int luup_agent_call_builtin(luup_agent * agent, const char * name, const char * arguments, char ** result);

/* Checks a JSON Schema as `parameters` and `output_schema` are: LUUP_SUCCESS, LUUP_ERROR_JSON_PARSE_FAILED or LUUP_ERROR_INVALID_SCHEMA. */
LUUP_API int luup_schema_check(const char * schema);

/* The history as a JSON array of OpenAI chat messages, the system prompt left out: free it with luup_string_free(). */
LUUP_API int luup_agent_get_history(const luup_agent * agent, char ** json);

/* Replaces the history with a JSON array as luup_agent_get_history() gives it; unchanged on failure
 * (LUUP_ERROR_JSON_PARSE_FAILED, LUUP_ERROR_INVALID_PARAM, LUUP_ERROR_BUSY). */
LUUP_API int luup_agent_set_history(luup_agent * agent, const char * json);

/* Fills `usage`, whose `size` field must be set, with exact counts. */
LUUP_API int luup_agent_get_context(const luup_agent * agent, luup_context_usage * usage);

/* The tokens that a run of `message` would prefill: system prompt, history, message and the start of the answer, as the
 * template lays them out. `message` NULL: the history alone. Buffers as in luup_model_tokenize(). */
LUUP_API int luup_agent_get_prompt(const luup_agent * agent, const char * message, int32_t * tokens, size_t capacity, size_t * n_tokens);

/* ---------------------------------------------------------------------------------------------------------------------
 * Runs
 * ------------------------------------------------------------------------------------------------------------------ */

typedef struct luup_run_params {
    size_t                       size;
    const luup_sampling_params * sampling;       /* NULL = the agent's */
    int64_t                      timeout_ms;     /* for the whole run, waiting and tools included; -1 = none */
    const char *                 tools;          /* JSON array of OpenAI tool definitions, instead of the agent's; {"type": "builtin"} in it = the
                                                    agent's built-in tools; NULL = the agent's */
    const char *                 tool_choice;    /* "auto", "required", "none" or a tool's name, for the first turn; NULL = "auto". Of a server whose model
                                                    makes no call where one has to come the tool and its arguments are asked for as typed results */
    bool                         parallel_calls; /* the model may call several tools in one turn (true) */
    int32_t                      priority;       /* runs of a higher one go first where not all can at once; -1000 … 1000 (0) */
    int32_t                      max_turns;      /* answers of the model at most, those that call tools included; 1 … 1000 (16) */
    const char *                 output_schema;  /* JSON Schema that the answer is held to; NULL = free text */
    bool                         review_output;  /* ask for luup_run_review_output() before a run with a schema ends (false) */
    int32_t                      output_retries; /* reviews that may reject, 0 … 100 (1) */
    bool                         confidence;     /* tell in LUUP_EVENT_DONE how sure the model was of enums and booleans (false) */
    const char * const *         choices;        /* score these answers instead of generating one; NULL = generate */
    size_t                       n_choices;      /* at most 1,024 */
} luup_run_params;

/* Fills `params` with the defaults: the agent's sampling and tools, no timeout, and what stands above in parentheses. NULL is ignored. */
LUUP_API void luup_run_default_params(luup_run_params * params);

typedef enum luup_event_type {
    LUUP_EVENT_NONE               = 0, /* nothing yet: the time is up, or the run has ended and all was told */
    LUUP_EVENT_TEXT               = 1, /* text: all that is ready, whole characters only; what comes within 5 ms of the last text is ready after these */
    LUUP_EVENT_REASONING          = 2, /* text: what the model thinks before it answers */
    LUUP_EVENT_PROGRESS           = 3, /* progress_done of progress_total prompt tokens are prefilled */
    LUUP_EVENT_TOOL_CALL          = 4, /* the run waits for luup_run_submit_tool_result(): call_id, tool_name, text = arguments, calls_left */
    LUUP_EVENT_OUTPUT             = 5, /* the run waits for luup_run_review_output(): text = the whole answer, valid against the schema */
    LUUP_EVENT_RETRY              = 6, /* the text so far was rejected and a new answer begins: text tells why */
    LUUP_EVENT_COMPLETION_REQUEST = 7, /* a remote model: text = the JSON body to be posted, see luup_run_push_chunk(); model_index */
    LUUP_EVENT_TOOL_RESULT        = 8, /* a built-in tool has answered: call_id, tool_name, arguments, is_error, text = what the model is told */
    LUUP_EVENT_SUMMARY_REQUEST    = 9, /* the run waits for luup_run_submit_summary(): text = JSON array of the messages that give way */
    LUUP_EVENT_SUMMARIZED         = 10, /* a summary, text, took the place of the progress_done oldest of progress_total messages */
    LUUP_EVENT_DONE               = 16, /* the last one of a run that answered: finish_reason, usage, timings */
    LUUP_EVENT_ERROR              = 17  /* the last one of a run that failed: error, and text tells why; usage and timings too */
} luup_event_type;

typedef enum luup_finish_reason {
    LUUP_FINISH_NONE       = 0,
    LUUP_FINISH_STOP       = 1, /* the model ended its answer, or a stop text came up */
    LUUP_FINISH_LENGTH     = 2, /* max_tokens were decoded, or with max_tokens -1 the context is full */
    LUUP_FINISH_TOOL_CALLS = 3 /* luup_run_suspend(): calls wait in the history for their results */
} luup_finish_reason;

typedef struct luup_event {
    luup_event_type    type;
    const char *       text;            /* never NULL; valid until the run's next luup_run_next() or its destruction */
    size_t             text_length;     /* bytes */
    int32_t            error;           /* a luup_error; LUUP_SUCCESS unless type is LUUP_EVENT_ERROR */
    luup_finish_reason finish_reason;
    int32_t            progress_done;   /* tokens */
    int32_t            progress_total;  /* tokens */
    int32_t            prompt_tokens;   /* of the whole prompt */
    int32_t            cached_tokens;   /* of the prompt, those that needed no prefill */
    int32_t            answer_tokens;   /* decoded, reasoning and the final control token included */
    double             queue_seconds;   /* waited for a sequence */
    double             prefill_seconds; /* from then to the first token */
    double             decode_seconds;  /* from the first token to the last */
    double             first_token_seconds; /* from luup_run_start() to the first token; 0 if there was none */
    double             total_seconds;   /* from luup_run_start() to the end, tools included */
    const char *       call_id;         /* of a TOOL_CALL or TOOL_RESULT; else "" */
    const char *       tool_name;       /* likewise */
    int32_t            calls_left;      /* of a TOOL_CALL: how many more calls of the same turn come right after it */
    int32_t            turns;           /* of DONE and ERROR: answers of the model, those that called tools included */
    const char *       confidence;      /* of DONE: JSON object, pointer into the answer to probability; "" if not asked for, or not known */
    int32_t            model_index;     /* of a COMPLETION_REQUEST: which of a fallback's models is asked; else 0 */
    const char *       arguments;       /* of a TOOL_RESULT; else "" */
    bool               is_error;        /* of a TOOL_RESULT: text tells why the call failed */
    int32_t            recomputed_tokens; /* of the prompt, those that the agent's last turns had computed already, and that were not kept */
} luup_event;

/* Begins to answer `message` (NULL: answers the history as it stands, which must end with a user message, with tool results, or with
 * tool calls that wait for theirs). Never waits for the model. On success the run's events come from luup_run_next(); on failure there is no run:
 * LUUP_ERROR_INVALID_PARAM (empty message, bad sampling value), _CONTEXT_FULL (with counts), _BUSY, _CLOSED, _CHAT_TEMPLATE.
 * The message and its answer enter the history together when the run ends with LUUP_EVENT_DONE; a run that fails or is
 * cancelled leaves the history as it was. */
LUUP_API int luup_run_start(luup_agent * agent, const char * message, const luup_run_params * params, luup_run ** run);

/* Waits up to `timeout_ms` (0 = not at all, -1 = as long as it takes) for the next event. Exactly one DONE or ERROR
 * event ends a run; after it only NONE comes, at once. Returns LUUP_SUCCESS whenever `event` was filled. For an ERROR event
 * luup_last_error_message() is set too. */
LUUP_API int luup_run_next(luup_run * run, int32_t timeout_ms, luup_event * event);

/* Waits up to `timeout_ms` (0 = not at all, -1 = as long as it takes) until the run has ended, or waits for tool results or the review of
 * its output, and tells in `ended` whether it has ended. Its events wait for luup_run_next() meanwhile: who wants only the whole answer is not woken for every token of it. */
LUUP_API int luup_run_wait(luup_run * run, int32_t timeout_ms, bool * ended);

/* From now on a byte is written to `fd` (a non-blocking socket or pipe; a SOCKET on Windows) whenever the run gets events after
 * having had none; at once if some wait. -1 turns it off. `fd` stays yours and must stay open until then. */
LUUP_API int luup_run_set_wakeup_fd(luup_run * run, intptr_t fd);

/* Answers the TOOL_CALL event `call_id`: `content` is what the tool gave, or with `is_error` why it failed, as text for the model. The
 * calls of a turn may be answered in any order and from any thread; the run goes on when all are.
 * LUUP_ERROR_INVALID_PARAM if no such call waits for an answer. Nothing happens if the run has ended. */
LUUP_API int luup_run_submit_tool_result(luup_run * run, const char * call_id, const char * content, bool is_error);

/* Answers the OUTPUT event: `problem` NULL accepts the answer and the run ends with DONE; else the model is told the problem and answers
 * anew, as often as output_retries allows; then the run ends with LUUP_ERROR_INVALID_OUTPUT. LUUP_ERROR_INVALID_PARAM if no
 * answer waits. Nothing happens if the run has ended. */
LUUP_API int luup_run_review_output(luup_run * run, const char * problem);

/* Answers a COMPLETION_REQUEST event, piece by piece: `json` is the data of one server-sent event of the response to the body, posted to the
 * server's /chat/completions ("[DONE]" included), or a whole chat completion of a server that does not stream. `more` (may be NULL) gets whether further
 * ones are wanted: no once the answer is complete, is wrong, or the run has ended. What is wrong in a chunk fails the run
 * (LUUP_ERROR_JSON_PARSE_FAILED, LUUP_ERROR_HTTP_FAILED). From any thread. LUUP_ERROR_INVALID_PARAM if the run waits for no completion. */
LUUP_API int luup_run_push_chunk(luup_run * run, const char * json, bool * more);

/* The response to a COMPLETION_REQUEST is over. `status` LUUP_SUCCESS: its end was reached; without a finish_reason in it the run fails, with what was told
 * until then. Else an error code, and `message` (may be NULL) tells why: the run fails with it unless the answer was complete already.
 * LUUP_ERROR_UNSUPPORTED before any chunk says that the server does not take `response_format`: another request comes, now and later without it. */
LUUP_API int luup_run_end_completion(luup_run * run, int status, const char * message);

/* Answers the SUMMARY_REQUEST event: `summary` takes the place of the messages; NULL lets the model write it.
 * LUUP_ERROR_INVALID_PARAM if it is empty, or none is waited for. Nothing happens if the run has ended. */
LUUP_API int luup_run_submit_summary(luup_run * run, const char * summary);

/* Ends a run that waits for tool results with DONE and LUUP_FINISH_TOOL_CALLS. Its messages, with the calls and the results so far, enter the
 * history, which may be stored and loaded elsewhere; luup_run_start() with message NULL then gives the unanswered calls again.
 * LUUP_ERROR_INVALID_PARAM if the run does not wait for tool results. */
LUUP_API int luup_run_suspend(luup_run * run);

/* The messages that the run has added to the conversation so far, as luup_agent_get_history() gives them: free it with luup_string_free(). */
LUUP_API int luup_run_get_messages(const luup_run * run, char ** json);

/* Ends the run soon with LUUP_ERROR_CANCELLED, in the middle of a prefill too. NULL, or a run that has ended: nothing happens. */
LUUP_API void luup_run_cancel(luup_run * run);

/* Cancels the run if it goes on and gives the handle back; never waits for the model. */
LUUP_API void luup_run_destroy(luup_run * run);

/* ---------------------------------------------------------------------------------------------------------------------
 * Conveniences for C programs, on top of runs
 * ------------------------------------------------------------------------------------------------------------------ */

/* Called in the thread of luup_agent_generate_stream() with each new piece of the answer; returning false cancels the run. */
typedef bool (*luup_text_callback)(const char * text, size_t length, void * user_data);

/* Answers `message` and gives the whole text in `text`: free it with luup_string_free(). Blocks. */
LUUP_API int luup_agent_generate(luup_agent * agent, const char * message, const luup_run_params * params, char ** text);

/* Answers `message`, handing out the text as it comes. Blocks. LUUP_ERROR_CANCELLED if the callback returned false. */
LUUP_API int luup_agent_generate_stream(luup_agent * agent, const char * message, const luup_run_params * params, luup_text_callback callback, void * user_data);

/* Frees a string that this library gave with the words "free it with luup_string_free()". */
LUUP_API void luup_string_free(char * text);

#ifdef __cplusplus
}
#endif

#endif /* LUUP_AGENT_H */
