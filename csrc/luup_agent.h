/*
 * luup_agent.h - AI agents on a language model, in your own process.
 *
 * Introduction
 *
 *   A model is a GGUF file that llama.cpp has loaded, and one thread that decodes for all its users. An agent is a
 *   system prompt, sampling settings, tools and a history on top of a model; make as many as you like. A run answers
 *   one message: you pull its events, and nothing calls you back. Runs of different agents are decoded in one batch.
 *
 *   Simple: load a model, create an agent, answer one message.
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
 *   With context: an agent keeps its history from run to run (luup_agent_get_history()), calls tools
 *   (luup_agent_register_tool(), LUUP_EVENT_TOOL_CALL), and answers in JSON of a schema (output_schema).
 *
 *   Advanced: remote models whose requests you post yourself (luup_model_create_remote()), models that stand in for
 *   each other (luup_model_create_fallback()), saved agents (luup_agent_save()), event loops
 *   (luup_run_set_wakeup_fd(), luup_waker_create()).
 *
 * Errors
 *
 *   A function that can fail returns an `int`: LUUP_SUCCESS (0) or a negative luup_error. It writes its results through
 *   the last parameters, and leaves them untouched on failure. luup_last_error_message() then describes the failure for
 *   the calling thread.
 *
 * Threads
 *
 *   Any thread may call any function, and several threads may use one handle at once, with two exceptions: a handle's
 *   destroy function must not race with another use of it, and a run has one caller of luup_run_next() at a time.
 *
 * Ownership
 *
 *   You own what a function named `load`, `create`, `fork` or `start` returns, and pass it to the `destroy` function of
 *   its type. `destroy` and `free` functions accept NULL. An agent keeps its model's memory alive, and a run its
 *   agent's: destroy them in any order. A `const char *` result belongs to the handle it came from unless its
 *   description says otherwise. Strings are UTF-8 and end with a zero byte; invalid UTF-8 is
 *   LUUP_ERROR_INVALID_PARAM.
 *
 * Fork
 *
 *   Threads do not survive fork(). In the child, every call with a model that the parent loaded, or with an agent or a
 *   run of it, returns LUUP_ERROR_FORKED; destroying them is safe and does nothing. Load another model in the child.
 *
 * Structures with a `size` field
 *
 *   Fill input structures with their `*_default_params()` function, and set `size = sizeof(the structure)` in output
 *   structures. Later versions may append fields; `size` says which fields the caller knows.
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
typedef struct luup_agent luup_agent; /* a system prompt, settings, tools and a history */
typedef struct luup_run   luup_run;   /* a message that is being answered */

typedef struct luup_waker luup_waker; /* wakes an event loop for the events of many runs */

typedef struct luup_embedder luup_embedder; /* a loaded model that makes vectors of texts, or ranks them */

/* ---------------------------------------------------------------------------------------------------------------------
 * Errors
 * ------------------------------------------------------------------------------------------------------------------ */

typedef enum luup_error {
    LUUP_SUCCESS                   = 0,
    LUUP_ERROR_INVALID_PARAM       = -1, /* an argument is wrong; the message names it */
    LUUP_ERROR_OUT_OF_MEMORY       = -2,
    LUUP_ERROR_MODEL_NOT_FOUND     = -3, /* no such file */
    LUUP_ERROR_INFERENCE_FAILED    = -4, /* llama.cpp could not decode */
    LUUP_ERROR_TOOL_NOT_FOUND      = -5,
    LUUP_ERROR_JSON_PARSE_FAILED   = -6,
    LUUP_ERROR_HTTP_FAILED         = -7,
    LUUP_ERROR_BACKEND_INIT_FAILED = -8, /* no CPU variant runs here, or the requested GPU is missing */
    LUUP_ERROR_MODEL_LOAD_FAILED   = -9, /* the file is damaged, or not a model that can generate text */
    LUUP_ERROR_CONTEXT_FULL        = -10, /* the prompt does not fit the context; the message has the counts */
    LUUP_ERROR_INVALID_SCHEMA      = -11,
    LUUP_ERROR_CHAT_TEMPLATE       = -12, /* the model's chat template can't be used */
    LUUP_ERROR_CANCELLED           = -13, /* luup_run_cancel() was called */
    LUUP_ERROR_TIMED_OUT           = -14, /* the run's timeout passed */
    LUUP_ERROR_CLOSED              = -15, /* the model was closed */
    LUUP_ERROR_BUSY                = -16, /* the agent is answering another message, or too many runs wait */
    LUUP_ERROR_UNSUPPORTED         = -17,
    LUUP_ERROR_IO                  = -18,
    LUUP_ERROR_FORKED              = -19, /* the handle belongs to the parent process */
    LUUP_ERROR_INTERNAL            = -20, /* a bug in this library; please report it */
    LUUP_ERROR_INVALID_OUTPUT      = -21, /* the output was cut off, or is still invalid after all retries */
    LUUP_ERROR_MAX_TURNS           = -22 /* the model still called tools after max_turns turns */
} luup_error;

/* Returns the code of the calling thread's last failed call, LUUP_SUCCESS if none has failed. Successful calls do not
 * reset it. */
LUUP_API int luup_last_error_code(void);

/* Returns the message of the calling thread's last failed call, "" if none has failed. Never NULL; valid until the
 * thread's next failure. */
LUUP_API const char * luup_last_error_message(void);

/* Returns the name of a code, such as "LUUP_ERROR_BUSY", or "LUUP_ERROR_UNKNOWN". Static memory. */
LUUP_API const char * luup_error_name(int code);

/* Returns a short English text for a code. Static memory, never NULL. */
LUUP_API const char * luup_error_text(int code);

/* ---------------------------------------------------------------------------------------------------------------------
 * Versions and logs
 * ------------------------------------------------------------------------------------------------------------------ */

/* Returns this library's version, such as "0.1.0". Static memory. */
LUUP_API const char * luup_version(void);

/* Returns the version and commit of llama.cpp, such as "0.5.0-dev (0c1e57098)". Static memory. */
LUUP_API const char * luup_llama_version(void);

typedef enum luup_log_level {
    LUUP_LOG_DEBUG = 1,
    LUUP_LOG_INFO  = 2,
    LUUP_LOG_WARN  = 3,
    LUUP_LOG_ERROR = 4,
    LUUP_LOG_NONE  = 5
} luup_log_level;

/* Keeps log records of `level` and above, for the whole process. The initial level is LUUP_LOG_WARN. */
LUUP_API void luup_log_set_level(luup_log_level level);

/* Takes the oldest log record: writes up to `capacity` bytes of its text (cut to fit, always zero-terminated) into
 * `text`, and its level into `level`. Returns false if there is no record. The newest 1,000 records are kept. The
 * library never writes to stderr. */
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

/* The strings live as long as the process. */
typedef struct luup_device_info {
    size_t           size;
    const char *     name; /* "CPU", "CUDA0" */
    const char *     description; /* "AMD EPYC …" */
    const char *     backend; /* "CPU", "CUDA", "Metal", "Vulkan" */
    luup_device_type type;
    uint64_t         memory_free; /* bytes; 0 = unknown */
    uint64_t         memory_total; /* bytes; 0 = unknown */
} luup_device_info;

/* The CPU variant in use. The strings live as long as the process. */
typedef struct luup_cpu_variant {
    size_t       size;
    const char * name; /* "haswell", "zen4", "sapphirerapids", …; "native" in a build with one variant */
    const char * path; /* the file it was loaded from */
    const char * reason; /* why it was chosen: a line of English */
} luup_cpu_variant;

/* A file with code for one kind of device: the CPU variant in use, or a GPU backend. The strings live as long as the
 * process. */
typedef struct luup_backend_info {
    size_t       size;
    const char * name; /* "CPU", "CUDA", "Metal", "Vulkan"; the file's own name if it was not loaded */
    const char * path; /* the file, or the folder of a package that was refused for its version */
    const char * reason; /* why it was not loaded: a line of English; "" if it was */
    size_t       n_devices;
} luup_backend_info;

/* Adds a folder of backends: a package for one kind of GPU. `version` is the package's version, and has to equal this
 * library's, because both are built from the same llama.cpp. LUUP_ERROR_BACKEND_INIT_FAILED if it differs (a load that
 * needs a GPU reports this again); LUUP_ERROR_UNSUPPORTED if the backends are loaded already. */
LUUP_API int luup_backends_add(const char * folder, const char * version);

/* Returns the number of backends that were loaded or refused, 0 if the backends can't be loaded. */
LUUP_API size_t luup_backend_count(void);

/* Describes backend `index` (0 … count-1). */
LUUP_API int luup_backend_get(size_t index, luup_backend_info * info);

/* Loads the CPU variant and the GPU backends beside this library and in the folders that were added; later calls return
 * at once. Loading a model does it too. The environment variable LUUP_CPU_VARIANT names a variant to use instead of the
 * best one. LUUP_ERROR_BACKEND_INIT_FAILED if no variant runs here, or if the named one is missing or does not run on
 * this CPU. */
LUUP_API int luup_backends_load(void);

/* Returns the number of devices, 0 if the backends can't be loaded. */
LUUP_API size_t luup_device_count(void);

/* Describes device `index` (0 … count-1). */
LUUP_API int luup_device_get(size_t index, luup_device_info * info);

/* Describes the CPU variant in use. */
LUUP_API int luup_cpu_variant_get(luup_cpu_variant * variant);

/* ---------------------------------------------------------------------------------------------------------------------
 * Models
 * ------------------------------------------------------------------------------------------------------------------ */

/* context_size: the model's training context, times rope_factor, at most 8,192 tokens. */
#define LUUP_CONTEXT_SIZE_DEFAULT (-2147483647 - 1)

/* Reports the progress of a load, 0.0 … 1.0, in the loading thread. Return false to stop the load
 * (LUUP_ERROR_CANCELLED). */
typedef bool (*luup_load_progress)(float progress, void * user_data);

/* How several GPUs share a model. */
typedef enum luup_split_mode {
    LUUP_SPLIT_NONE  = 0, /* `main_gpu` has the whole model */
    LUUP_SPLIT_LAYER = 1, /* each GPU has some of the layers, with their KV cache */
    LUUP_SPLIT_ROW   = 2 /* like LAYER; large tensors are split by rows where the backend can */
} luup_split_mode;

/* A LoRA adapter of a model: a GGUF file whose weights change the model's where a run names it. */
typedef struct luup_adapter_file {
    const char * name; /* any text */
    const char * path;
} luup_adapter_file;

/* 32 GiB. */
#define LUUP_WEIGHTS_CACHE_SIZE_DEFAULT 34359738368

/* Defaults are in parentheses. */
typedef struct luup_model_params {
    size_t  size;
    int32_t gpu_layers; /* layers on GPUs; -1 = all if there is a GPU, else none; > 0 needs a GPU (-1) */
    int32_t context_size; /* tokens, at least 256; shared by all runs (LUUP_CONTEXT_SIZE_DEFAULT) */
    int32_t batch_size; /* most tokens decoded in one step, 32 … 4096 (512) */
    int32_t threads; /* at most 512, fixed; 0 = as many as are granted, fewer while others use them (0) */
    int32_t threads_batch; /* for prefill; 0 = like `threads` (0) */
    /* Runs decoded at once plus histories kept in the context, at most 256; 0 = 64, or of a model with recurrent layers
     * as many as have room for their states in 512 MiB, 8 … 64 (0) */
    int32_t max_sequences;
    int32_t max_waiting; /* runs that may wait; another one is LUUP_ERROR_BUSY; -1 = no limit (-1) */
    /* Bytes for histories that leave the context, and of recurrent and hybrid models half for checkpoints; 0 = they are
     * computed again (1 GiB) */
    int64_t cache_ram;
    bool    use_mmap; /* map the file instead of reading it (true) */
    bool    use_mlock; /* keep the weights from being swapped out (false) */
    /* A folder that keeps the KV state of what agents begin with, system prompt and tools, for later processes. Created
     * if missing, at most 4 GiB. Trusted like a model file. NULL = none (NULL) */
    const char *       prefix_cache;
    const char *       chat_template; /* a Jinja template; NULL = the model's own (NULL) */
    luup_load_progress progress; /* may be NULL (NULL) */
    void *             user_data; /* for `progress` */

    /* Names of GPUs as in luup_device_info; NULL = all GPUs, or the integrated ones if there are no others (NULL) */
    const char * const * devices;
    size_t               n_devices;
    luup_split_mode      split_mode; /* (LUUP_SPLIT_LAYER) */
    int32_t              main_gpu; /* for LUUP_SPLIT_NONE: index in `devices` (0) */
    const float *        tensor_split; /* relative share of each GPU; NULL = by free memory (NULL) */
    size_t               n_tensor_split; /* as many as GPUs are used */

    /* "host:port" of llama.cpp RPC servers, whose devices are used like GPUs, before those of this machine. The traffic
     * is neither encrypted nor authenticated: use trusted networks only. An unreachable server is
     * LUUP_ERROR_BACKEND_INIT_FAILED; once a server is lost, all runs of the model fail with
     * LUUP_ERROR_INFERENCE_FAILED. NULL = none (NULL) */
    const char * const * rpc_servers;
    size_t               n_rpc_servers;

    /* How the KV cache keeps keys and values: "f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0" or "iq4_nl";
     * NULL = "f16". Quantized ones need heads whose size is a multiple of 32; else LUUP_ERROR_INVALID_PARAM (NULL) */
    const char * cache_type_k;
    const char * cache_type_v;

    /* How rotary positions are scaled, for contexts longer than those of the training: "yarn" or "linear"; NULL = as
     * the file says. LUUP_ERROR_INVALID_PARAM for a model without rotary positions (NULL) */
    const char * rope_scaling;
    float        rope_factor; /* how much longer, 1 … 1000 (1) */
    int32_t      rope_original_context; /* tokens of the training's context; 0 = as the file says (0) */

    /* LoRA adapters for luup_sampling_params.adapters. They stay in memory with the model. A file that is not an
     * adapter of this model is LUUP_ERROR_MODEL_LOAD_FAILED. NULL = none (NULL) */
    const luup_adapter_file * adapters;
    size_t                    n_adapters; /* at most 64 */

    /* Milliseconds after which an unused model frees its weights and its context, 0 = right after the last
     * run. They are loaded again when they are needed, see luup_model_unload(). -1 = never (-1) */
    int64_t keep_alive_ms;

    /* A projector: the GGUF file of the model's encoder of pictures or sound, often named "mmproj-…". It is tried in a
     * child process first. One that is damaged, or does not belong to the model, is LUUP_ERROR_MODEL_LOAD_FAILED.
     * NULL = the model reads text alone (NULL) */
    const char * mmproj;
    /* A folder that keeps the weights in the layout of this machine's CPU kernels, so that the next load need not make
     * it and all processes share the memory. Made if missing, for this user alone (0700); what was not used for the
     * longest time is removed. It also keeps that a file's header is good. Not with GPUs, RPC servers or `use_mlock`,
     * nor without `use_mmap`; on Linux only. NULL = none (NULL) */
    const char * weights_cache;
    int64_t      weights_cache_size; /* bytes of all its files together (LUUP_WEIGHTS_CACHE_SIZE_DEFAULT) */
    /* The file of a draft model: a smaller one with the same vocabulary (else LUUP_ERROR_MODEL_LOAD_FAILED), of a kind
     * without recurrent layers. It guesses the next tokens, which the model checks together: the answers are the same.
     * Used only while that is faster, by how often it is right and how long decodes take; see `tokens_drafted` and
     * `drafts_accepted` in luup_model_stats. Its KV cache is as long as the model's. For example:
     *
     *     params.draft = "Qwen3-0.6B-Q8_0.gguf"; // for Qwen3-8B-Q4_K_M.gguf
     *
     * NULL = none (NULL) */
    const char * draft;
    /* Use the heads of the model's own file that guess several tokens (multi-token prediction, MTP), where it has some
     * and there is no `draft`. As with a draft model, the answers are the same, and they are used only while that is
     * faster; see `mtp` in luup_model_info. They take memory: their weights, and a KV cache of their few layers (true)
     */
    bool use_mtp;
} luup_model_params;

/* Fills `params` with the defaults. NULL is ignored. */
LUUP_API void luup_model_default_params(luup_model_params * params);

/* The strings belong to the model. */
typedef struct luup_model_info {
    size_t       size;
    const char * path;
    const char * description; /* "llama ?B Q4_1" */
    const char * architecture; /* "llama", "qwen2", "gemma3", … */
    const char * file_type; /* "Q4_1", "Q4_K - Medium", "F16", … */
    const char * backend; /* where the layers run: "CPU", "CUDA", … */
    const char * device; /* that device's description */
    const char * cpu_variant;
    const char * chat_template; /* the Jinja source in use */
    uint64_t     parameters; /* the number of weights */
    uint64_t     memory_weights; /* bytes */
    uint64_t     memory_context; /* bytes of KV cache */
    uint64_t     memory_compute; /* bytes of scratch buffers */
    int32_t      context_size; /* tokens */
    int32_t      training_context_size; /* tokens */
    int32_t      vocabulary_size;
    int32_t      embedding_size;
    int32_t      layers;
    int32_t      gpu_layers; /* layers on GPUs */
    int32_t      threads;
    int32_t      threads_batch;
    int32_t      batch_size;
    int32_t      max_sequences;
    double       load_seconds;
    const char * cache_type_k; /* how the KV cache keeps keys: "f16", "q8_0", … */
    const char * cache_type_v; /* and values */
    const char * rope_scaling; /* how positions are scaled: "none", "linear", "yarn" or "longrope" */
    float        rope_factor; /* 1 = not scaled */
    int32_t      rope_original_context; /* tokens */
    bool         sees; /* it reads pictures */
    bool         hears; /* it reads sounds */
    uint64_t     weights_found; /* bytes of weights that were in `weights_cache`, and are shared by processes */
    uint64_t     weights_made; /* bytes that this load has put there */
    uint64_t     memory_projector; /* bytes of the projector: its weights, and scratch buffers for a picture */
    uint64_t     memory_draft; /* bytes of the draft model: its weights, its KV cache and its scratch buffers; or of the
                                * model's own heads, whose weights are among `memory_weights` */
    /* The heads of the file that guess several tokens: "used", or why not; "" if it has none. For example "a draft
     * model is used", or "heads of the architecture exaone-moe are not supported" */
    const char * mtp;
} luup_model_info;

/* A snapshot of what the decoding thread does and has done. Counters start when the model is loaded, and go on when it
 * is loaded again. */
typedef struct luup_model_stats {
    size_t   size;
    int32_t  runs_active; /* being prefilled or decoded */
    int32_t  runs_waiting; /* for a sequence, or for room in the context */
    int32_t  sequences_active; /* in use by runs */
    int32_t  sequences_parked; /* kept in the context for an agent's next turn */
    int32_t  context_used; /* tokens in the context; shared prefixes count once */
    uint64_t tokens_prefilled;
    uint64_t tokens_cached; /* prompt tokens that needed no prefill */
    uint64_t tokens_decoded; /* sampled, in all answers */
    uint64_t batches; /* calls of llama_decode */
    uint64_t batch_tokens; /* decoded in all batches, prompts and drafts included */
    int32_t  largest_batch; /* tokens */
    uint64_t prefixes_loaded; /* from prefix_cache */
    uint64_t tokens_drafted; /* drafted and checked */
    uint64_t drafts_accepted; /* drafted tokens that were right */
    uint64_t evictions; /* parked sequences that left the context, for RAM or for good */
    uint64_t restored; /* evicted sequences that came back from RAM */
    int32_t  sequences_in_ram;
    uint64_t ram_used; /* bytes of these */
    uint64_t preemptions; /* runs put back into the queue to make room, and computed again later */
    int32_t  threads; /* that the last batch was computed with: fewer than the model's on a busy machine */
    uint64_t media_encoded; /* pictures and sounds that were encoded, or parts of them if they were cut */
    /* For recurrent and hybrid models, whose sequences can only go back to places where their state was kept in RAM */
    int32_t  checkpoints; /* such places */
    uint64_t checkpoint_bytes;
    uint64_t rewound; /* sequences that went back to one */
} luup_model_stats;

/* Loads a GGUF file. `params` may be NULL for the defaults. Blocks; mostly disk time. LUUP_ERROR_MODEL_NOT_FOUND,
 * LUUP_ERROR_MODEL_LOAD_FAILED (not a GGUF file, damaged, or not a model that generates text),
 * LUUP_ERROR_CHAT_TEMPLATE, LUUP_ERROR_BACKEND_INIT_FAILED, LUUP_ERROR_INVALID_PARAM, LUUP_ERROR_OUT_OF_MEMORY,
 * LUUP_ERROR_CANCELLED. */
LUUP_API int luup_model_load(const char * path, const luup_model_params * params, luup_model ** model);

/* The memory that a model needs, in bytes. */
typedef struct luup_memory_estimate {
    size_t   size;
    uint64_t memory_weights;
    uint64_t memory_context; /* KV cache and recurrent states */
    uint64_t memory_compute; /* scratch buffers */
    uint64_t memory_host; /* the part of these, the projector and the draft model in the host's memory */
    uint64_t memory_devices; /* the part on GPUs */
    uint64_t host_available; /* memory that the host can still give; 0 = unknown */
    uint64_t devices_free; /* free memory of the GPUs that would be used; 0 = none, or unknown */
    int32_t  context_size; /* tokens */
    int32_t  layers;
    int32_t  gpu_layers; /* layers on GPUs */
    uint64_t memory_projector; /* of `mmproj`: its weights, and scratch buffers for a picture */
    uint64_t memory_draft; /* of `draft`: its weights, its KV cache and its scratch buffers; or of the model's own
                            * heads, whose weights are among `memory_weights` */
} luup_memory_estimate;

/* Fills `estimate`, whose `size` field must be set, with what luup_model_load() would need with the same arguments.
 * Reads the file's header only, and allocates no cache. Fails like luup_model_load(). */
LUUP_API int luup_model_estimate(const char * path, const luup_model_params * params, luup_memory_estimate * estimate);

/* A model behind an OpenAI-compatible server. This library speaks the protocol; you move the bytes: a run asks for a
 * request with LUUP_EVENT_COMPLETION_REQUEST, see luup_run_push_chunk(). The library never sees addresses and keys.
 * Defaults are in parentheses. */
typedef struct luup_remote_params {
    size_t       size;
    const char * model; /* the name that the server knows; not NULL */
    const char * extra_body; /* JSON object merged into each request (RFC 7396: null removes a field) (NULL) */
    /* How a typed output is requested: "json_schema", "json_object" or "none"; NULL = "json_schema" (NULL) */
    const char * response_format;
    /* Which fields of the server's own messages go back to it, beside those that the API defines (reasoning_content,
     * thought_signature, ...): "all", "none", or "auto": all, and the reasoning of turns with tool calls, as long as
     * the server does not refuse them; NULL = "auto" (NULL) */
    const char * message_fields;
    /* The content of a message that has tool calls and no text: "null", "text" (""), "absent", or "auto": null, or
     * another form if the server refuses that; NULL = "auto" (NULL) */
    const char * empty_content;
} luup_remote_params;

/* Fills `params` with the defaults. NULL is ignored. */
LUUP_API void luup_remote_default_params(luup_remote_params * params);

/* Creates a remote model, for agents like a local one. Functions that need its tokens return LUUP_ERROR_UNSUPPORTED:
 * luup_model_tokenize(), luup_model_detokenize(), luup_model_get_stats(), luup_model_warmup(),
 * luup_agent_get_context(), luup_agent_get_prompt() and `choices`; and luup_agent_generate() and
 * luup_agent_generate_stream(), which can't post requests. LUUP_ERROR_INVALID_PARAM, LUUP_ERROR_JSON_PARSE_FAILED. */
LUUP_API int luup_model_create_remote(const luup_remote_params * params, luup_model ** model);

/* Creates a model from `n_models` (1 … 64) local and remote ones, whose ownership it shares. The first one answers. If
 * it fails before anything of an answer was reported, the next one takes over until the end of the run. Functions that
 * need tokens return LUUP_ERROR_UNSUPPORTED as above. Closing it leaves its models open. */
LUUP_API int luup_model_create_fallback(luup_model * const * models, size_t n_models, luup_model ** model);

/* Fills `info`, whose `size` field must be set. Works after luup_model_close() too. */
LUUP_API int luup_model_get_info(const luup_model * model, luup_model_info * info);

/* Fills `stats`, whose `size` field must be set. */
LUUP_API int luup_model_get_stats(const luup_model * model, luup_model_stats * stats);

/* Decodes one token, so that the weights are in memory before the first run. Blocks, behind the active runs. */
LUUP_API int luup_model_warmup(luup_model * model);

/* Frees the weights and the context of a local model now, as `keep_alive_ms` does when it is unused. Agents keep
 * their histories, settings and tools. The next run, and other functions that need the weights, load the same file
 * again with the same parameters, without reporting progress. A run waits for that in luup_run_next(), luup_run_start()
 * does not. If the file can't be loaded again, because it is missing or has changed, that run fails with
 * LUUP_ERROR_MODEL_LOAD_FAILED, the agent keeps its history, and the next run tries again. LUUP_ERROR_BUSY while runs
 * are under way, those that wait for tool results too. */
LUUP_API int luup_model_unload(luup_model * model);

/* Writes whether the weights of a local model are in memory: false after luup_model_close(). */
LUUP_API int luup_model_is_loaded(const luup_model * model, bool * loaded);

/* Splits `text` into tokens. Writes at most `capacity` of them, and always the full number into `n_tokens`; `tokens`
 * may be NULL if `capacity` is 0. With `parse_special`, the names of control tokens become those tokens: use it only
 * for text that you wrote yourself. Adds no beginning-of-text token. */
LUUP_API int luup_model_tokenize(const luup_model * model, const char * text, bool parse_special, int32_t * tokens,
                                 size_t capacity, size_t * n_tokens);

/* Joins `tokens` to a text; control tokens are written by name, and bytes that are not UTF-8 as U+FFFD. Free the text
 * with luup_string_free(). */
LUUP_API int luup_model_detokenize(const luup_model * model, const int32_t * tokens, size_t n_tokens, char ** text);

/* Ends every run of the model with LUUP_ERROR_CLOSED, stops its thread and frees its memory. Later calls with it, its
 * agents and runs fail with LUUP_ERROR_CLOSED, except luup_model_get_info() and reading histories. Does nothing the
 * second time. */
LUUP_API int luup_model_close(luup_model * model);

/* Closes the model and destroys the handle. */
LUUP_API void luup_model_destroy(luup_model * model);

/* ---------------------------------------------------------------------------------------------------------------------
 * Agents
 * ------------------------------------------------------------------------------------------------------------------ */

/* A number that is added to the logit of a token: of the token `token`, or if `text` is not NULL, of the token that has
 * exactly this text. For example, an answer without "delve", and "\n" as little as possible:
 *
 *     const luup_logit_bias biases[] = { { 0, " delve", -100 }, { 198, NULL, -5 } };
 *     sampling.logit_bias            = biases;
 *     sampling.n_logit_bias          = 2;
 */
typedef struct luup_logit_bias {
    int32_t      token;
    const char * text;
    float        bias; /* -100 … 100 */
} luup_logit_bias;

/* An adapter of the model, by its name in luup_model_params, and how strongly it changes the weights: 1 is as it was
 * trained, 0 is not at all. For example:
 *
 *     const luup_adapter adapters[] = { { "sql", 1 }, { "brief", 0.5f } };
 *     sampling.adapters             = adapters;
 *     sampling.n_adapters           = 2;
 */
typedef struct luup_adapter {
    const char * name;
    float        scale; /* -100 … 100 */
} luup_adapter;

/* seed: a new random seed for each run. */
#define LUUP_SEED_RANDOM 0xFFFFFFFF

/* Defaults are in parentheses. */
typedef struct luup_sampling_params {
    size_t   size;
    float    temperature; /* 0 = greedy; at most 100 (0.7) */
    float    top_p; /* 0 … 1; 1 = off (0.95) */
    float    min_p; /* 0 … 1; 0 = off (0.05) */
    int32_t  top_k; /* 0 = off (40) */
    float    repeat_penalty; /* more than 0, at most 10; 1 = off (1.0) */
    int32_t  repeat_last_n; /* tokens that the penalty looks back, 0 … 65536 (64) */
    uint32_t seed; /* (LUUP_SEED_RANDOM) */
    int32_t  max_tokens; /* of one answer, its thoughts aside; -1 = until the context is full (512) */
    const char * const *
           stop; /* the answer, not its thoughts, ends before any of these texts, none of them empty (NULL) */
    size_t n_stop; /* at most 64 */
    /* Decode text that a schema or a tool's format dictates in one batch; same results up to near ties (true) */
    bool jump_forward;
    /* Where the answer repeats a text, draft what followed it there and check the draft in one decode, as long as that
     * is faster; same results up to near ties (true) */
    bool prompt_lookup;
    /* How much the model thinks before its answer: "on", "off", "low", "medium" or "high", by the arguments that the
     * chat template has for it; NULL or "" leaves it to the template (NULL) */
    const char * reasoning;
    /* The most tokens of the thoughts of one answer, which max_tokens does not count; at most what the context holds
     * beside the prompt and the answer. When they are used up, the library writes the end of the thoughts in the
     * model's own format, and the answer goes on. 0 = no thoughts; -1 = by `reasoning`: 0 for "off", 512 for "low",
     * 8192 for "high", else 2048 (-1) */
    int32_t max_reasoning_tokens;
    /* A JSON object of arguments for the chat template, such as {"enable_thinking": false}; they replace those that
     * `reasoning` sets. A remote model gets them as chat_template_kwargs, and "low", "medium" and "high" as
     * reasoning_effort; its server bounds the thoughts (NULL) */
    const char * template_options;
    /* -2 … 2: taken from the logit of each token that the answer has already; 0 = off. All tokens of the answer count,
     * those of its thoughts and of text that a schema dictates too; those of the prompt and of other turns don't (0) */
    float presence_penalty;
    float frequency_penalty; /* the same, as often as the answer has the token (0) */
    /* Added to the logits of tokens, before anything else looks at them. What a grammar or a template dictates comes in
     * any case. A remote model gets the numbers of tokens only (NULL) */
    const luup_logit_bias * logit_bias;
    size_t                  n_logit_bias; /* at most 4096 */
    /* Adapters to use, each once. One decode takes one set of them, so runs with other sets take turns: 100 ms each. A
     * remote model has none: LUUP_ERROR_UNSUPPORTED (NULL) */
    const luup_adapter * adapters;
    size_t               n_adapters; /* at most 64 */
    /* Report the log-probability of each token of the answer's text in the TEXT events. It is the model's own, in the
     * softmax of the whole vocabulary: before penalties, biases, the grammar and the temperature. Text that a schema or
     * a tool's format dictates is then decoded token by token, as with `jump_forward` off (false) */
    bool    logprobs;
    int32_t top_logprobs; /* with those of this many of the likeliest tokens, 0 … 20; implies `logprobs` (0) */
} luup_sampling_params;

/* Fills `params` with the defaults. NULL is ignored. */
LUUP_API void luup_sampling_default_params(luup_sampling_params * params);

/* Defaults are in parentheses. */
typedef struct luup_agent_params {
    size_t                       size;
    const char *                 system_prompt; /* NULL or "" = none (NULL) */
    const luup_sampling_params * sampling; /* copied; NULL = the defaults (NULL) */
    bool enable_history; /* false: runs do not see each other, and several may be active at once (true) */
} luup_agent_params;

/* Fills `params` with the defaults. NULL is ignored. */
LUUP_API void luup_agent_default_params(luup_agent_params * params);

/* How the context of an agent's next run would be filled, in tokens. */
typedef struct luup_context_usage {
    size_t  size;
    int32_t total; /* the model's context */
    int32_t system; /* the system prompt, with the template's text around it */
    int32_t history; /* the messages */
    int32_t free; /* left for the next message and its answer */
    int32_t tools; /* the agent's tools, as the template or this library describes them */
} luup_context_usage;

/* Creates an agent. `params` may be NULL; its strings are copied. The agent shares the ownership of the model. */
LUUP_API int luup_agent_create(luup_model * model, const luup_agent_params * params, luup_agent ** agent);

/* Creates an agent with the settings, tools and history of another; from here on they are independent. The two share
 * the history's KV state: the fork's first run prefills its own message only. Messages of a run of `agent` that is
 * still active are not copied. `model` answers for the fork; NULL = the same model. */
LUUP_API int luup_agent_fork(const luup_agent * agent, luup_model * model, luup_agent ** fork);

/* Writes the agent's system prompt, history and KV state, if that is still in the context or in RAM, to a file, with a
 * text of your own, `extra` (may be NULL). The file is about as large as the KV cache of these tokens. An existing file
 * is replaced atomically. LUUP_ERROR_IO, LUUP_ERROR_BUSY. */
LUUP_API int luup_agent_save(const luup_agent * agent, const char * path, const char * extra);

/* Creates an agent, with history enabled, from a file that luup_agent_save() wrote. `sampling` may be NULL for the
 * defaults. `extra`, if not NULL, receives the saved text; free it with luup_string_free(). The KV state is used if the
 * model's file, its template and this library's build are the same and cache_ram has room. Otherwise, or if that part
 * of the file is damaged, a warning in the log says why, and the next run prefills the conversation. LUUP_ERROR_IO: the
 * file can't be read, is not a saved agent, or its history is damaged. The file is trusted like a model file: do not
 * load one from a stranger. */
LUUP_API int luup_agent_load(luup_model * model, const char * path, const luup_sampling_params * sampling,
                             luup_agent ** agent, char ** extra);

/* Writes the KV state of the agent's last run alone, if it is still in the context, to a file, for
 * luup_agent_load_state() of an agent that continues the same conversation in another process. Nothing is written if it
 * has fewer than `min_tokens` tokens or more than `max_bytes` bytes, or if the model is not a local one. `n_tokens`
 * receives the number of tokens that were written, or 0. An existing file is replaced atomically. LUUP_ERROR_IO,
 * LUUP_ERROR_BUSY. */
LUUP_API int luup_agent_save_state(const luup_agent * agent, const char * path, size_t min_tokens, uint64_t max_bytes,
                                   size_t * n_tokens);

/* Reads a file of luup_agent_save_state() into cache_ram. The next run prefills what differs from its prompt, so that
 * the state of another conversation only costs memory. `n_tokens` receives the number of its tokens; 0 if it belongs to
 * another model, template, adapter or build, or has no room. LUUP_ERROR_IO: the file can't be read, is damaged, or of
 * another kind. It is trusted like a model file. */
LUUP_API int luup_agent_load_state(luup_agent * agent, const char * path, size_t * n_tokens);

/* Destroys the handle. The agent's runs go on until they end or are destroyed. */
LUUP_API void luup_agent_destroy(luup_agent * agent);

typedef enum luup_media_type {
    LUUP_MEDIA_IMAGE = 0, /* PNG, JPEG or WebP; a local model reads PNG and JPEG */
    LUUP_MEDIA_AUDIO = 1 /* WAV, MP3 or FLAC */
} luup_media_type;

/* A picture or sound of a message: a whole file in memory, at most 64 MiB, or for remote models the address of a
 * picture. For example, a question about two pictures:
 *
 *     const luup_media pictures[] = { { LUUP_MEDIA_IMAGE, cat, cat_size, NULL, 0 },
 *                                     { LUUP_MEDIA_IMAGE, dog, dog_size, NULL, 0 } };
 *     luup_run_params params;
 *     luup_run_default_params(&params);
 *     params.media   = pictures;
 *     params.n_media = 2;
 *     char * answer  = NULL;
 *     luup_agent_generate(agent, "Which of them sleeps?", &params, &answer);
 *
 * The bytes are copied. The same picture in several messages or agents is encoded once, and its part of the KV cache is
 * shared like that of text. */
typedef struct luup_media {
    luup_media_type type;
    const void *    data; /* the file; NULL if `url` is given */
    size_t          data_size; /* bytes */
    const char *    url; /* "https://…" of a picture, which the server of a remote model fetches; NULL = none */
    size_t          offset; /* the place in the message's text, in bytes, between two characters */
} luup_media;

/* The format and size of a picture or sound. */
typedef struct luup_media_info {
    size_t       size;
    const char * format; /* "png", "jpeg", "webp", "wav", "mp3" or "flac"; static memory */
    int32_t      width; /* of a picture, in pixels */
    int32_t      height;
} luup_media_info;

/* Reads the header of a picture or sound; decodes nothing. `info` may be NULL, else its `size` field must be set.
 * LUUP_ERROR_INVALID_PARAM: it is broken, of another format, an animation, or larger than 64 megapixels or 64 MiB. Any
 * thread may call it. */
LUUP_API int luup_media_check(const luup_media * media, luup_media_info * info);

/* Appends a message to the history. `role`: "user" or "assistant". LUUP_ERROR_BUSY while a run is active. */
LUUP_API int luup_agent_add_message(luup_agent * agent, const char * role, const char * content);

/* Empties the history; the system prompt stays. LUUP_ERROR_BUSY while a run is active. */
LUUP_API int luup_agent_clear_history(luup_agent * agent);

/* The function of a tool, for luup_agent_generate() and luup_agent_generate_stream(), called in their thread. It
 * answers with luup_run_submit_tool_result() before it returns; if it does not, the model reads that the tool gave no
 * result. */
typedef void (*luup_tool_callback)(luup_run * run, const char * call_id, const char * arguments, void * user_data);

/* Defaults are in parentheses. */
typedef struct luup_tool_params {
    size_t             size;
    const char *       name; /* 1 … 64 letters, digits, "_" or "-" */
    const char *       description; /* for the model (NULL) */
    const char *       parameters; /* JSON Schema of an object; NULL = no parameters (NULL) */
    luup_tool_callback callback; /* NULL: the calls come as events only (NULL) */
    void *             user_data; /* for `callback` */
} luup_tool_params;

/* Fills `params` with the defaults. NULL is ignored. */
LUUP_API void luup_tool_default_params(luup_tool_params * params);

/* Adds a tool for the agent's later runs; strings are copied. LUUP_ERROR_INVALID_PARAM (the name is invalid or taken),
 * LUUP_ERROR_INVALID_SCHEMA (the message has the JSON pointer of what can be neither enforced nor checked). */
LUUP_API int luup_agent_register_tool(luup_agent * agent, const luup_tool_params * params);

/* Removes a tool for the agent's later runs. LUUP_ERROR_TOOL_NOT_FOUND. */
LUUP_API int luup_agent_unregister_tool(luup_agent * agent, const char * name);

/* Adds the built-in tools todo_add, todo_list, todo_complete and todo_delete for the agent's later runs. The library
 * runs them, and reports each call with a TOOL_RESULT event. `path` is a JSON file, created when it is needed, which
 * other agents and processes may share; it is written whole or not at all. NULL keeps the list in memory, for this
 * agent and its forks. LUUP_ERROR_INVALID_PARAM (there already is a tool of that name), LUUP_ERROR_IO (the file can't
 * be used, or is damaged; a damaged file is not changed). */
LUUP_API int luup_agent_enable_builtin_todo(luup_agent * agent, const char * path);

/* The same for notes: note_create, note_read, note_update, note_delete, note_search and note_list. */
LUUP_API int luup_agent_enable_builtin_notes(luup_agent * agent, const char * path);

/* When the prompt of a run takes more than `threshold` of the context, or leaves no room for max_tokens, a summary
 * replaces the oldest messages of the history; tool calls stay together with their results. Defaults are in
 * parentheses. */
typedef struct luup_summarization_params {
    size_t size;
    float  threshold; /* part of the context; more than 0, at most 1 (0.75) */
    float  keep; /* part of the messages, the newest, kept if that makes enough room; 0 … less than 1 (0.4) */
    bool   by_host; /* ask for the summary with LUUP_EVENT_SUMMARY_REQUEST; else the model writes it (false) */
    bool   tool; /* offer the tool "summarization": actions status, trigger, enable, disable (false) */
} luup_summarization_params;

/* Fills `params` with the defaults. NULL is ignored. */
LUUP_API void luup_summarization_default_params(luup_summarization_params * params);

/* Turns summarization on, or changes its settings; it is off for a new agent. `params` may be NULL for the defaults. A
 * run that summarizes reports it with LUUP_EVENT_SUMMARIZED; the history changes when the run ends with DONE.
 * LUUP_ERROR_INVALID_PARAM. */
LUUP_API int luup_agent_enable_builtin_summarization(luup_agent * agent, const luup_summarization_params * params);

/* Calls a built-in tool with a JSON object, as the model would. `result` receives the complete result as JSON; free it
 * with luup_string_free(). "summarization" can always be called. LUUP_ERROR_TOOL_NOT_FOUND (it was not enabled),
 * LUUP_ERROR_INVALID_PARAM (invalid arguments, or no such id), LUUP_ERROR_IO. */
LUUP_API int luup_agent_call_builtin(luup_agent * agent, const char * name, const char * arguments, char ** result);

/* Checks a JSON Schema for `parameters` or `output_schema`: LUUP_SUCCESS, LUUP_ERROR_JSON_PARSE_FAILED or
 * LUUP_ERROR_INVALID_SCHEMA. */
LUUP_API int luup_schema_check(const char * schema);

/* Checks a regular expression for `output_pattern`: LUUP_SUCCESS or LUUP_ERROR_INVALID_SCHEMA. */
LUUP_API int luup_pattern_check(const char * pattern);

/* Checks a grammar for `output_grammar`: LUUP_SUCCESS or LUUP_ERROR_INVALID_SCHEMA, whose message names the line and
 * the rule. Only the grammar of a local `model` may name tokens, as <[id]> or <text>; NULL = no model. */
LUUP_API int luup_grammar_check(const luup_model * model, const char * grammar);

/* Writes the history, without the system prompt, as a JSON array of OpenAI chat messages. Free it with
 * luup_string_free(). */
LUUP_API int luup_agent_get_history(const luup_agent * agent, char ** json);

/* Replaces the history with a JSON array in the form of luup_agent_get_history(). Any order of messages is allowed, and
 * system messages behind the first message: where the chat template refuses an order, the prompt has the same texts in
 * one that it takes. The history stays as it was on
 * failure: LUUP_ERROR_JSON_PARSE_FAILED, LUUP_ERROR_INVALID_PARAM, LUUP_ERROR_BUSY. */
LUUP_API int luup_agent_set_history(luup_agent * agent, const char * json);

/* Replaces the system prompt of later runs. `system_prompt` NULL or "" = none. LUUP_ERROR_BUSY. */
LUUP_API int luup_agent_set_system_prompt(luup_agent * agent, const char * system_prompt);

/* Fills `usage`, whose `size` field must be set, with exact counts. */
LUUP_API int luup_agent_get_context(const luup_agent * agent, luup_context_usage * usage);

/* Writes the tokens of a run's prompt: system prompt, history, `message` and the start of the answer, as the template
 * lays them out. Negative numbers stand for pictures and sounds. `message` NULL: the history alone. Buffers as in
 * luup_model_tokenize(). */
LUUP_API int luup_agent_get_prompt(const luup_agent * agent, const char * message, int32_t * tokens, size_t capacity,
                                   size_t * n_tokens);

/* ---------------------------------------------------------------------------------------------------------------------
 * Runs
 * ------------------------------------------------------------------------------------------------------------------ */

/* Defaults are in parentheses. */
typedef struct luup_run_params {
    size_t                       size;
    const luup_sampling_params * sampling; /* NULL = the agent's (NULL) */
    int64_t                      timeout_ms; /* for the whole run, waiting and tools included; -1 = none (-1) */
    /* JSON array of OpenAI tool definitions; {"type": "builtin"} stands for the agent's built-in tools. NULL = the
     * agent's tools (NULL) */
    const char * tools;
    /* "auto", "required", "none" or a tool's name; applies to the first turn. NULL = "auto". If the model of a server
     * does not make a required call, the tool and its arguments are requested as typed outputs (NULL) */
    const char * tool_choice;
    bool         parallel_calls; /* the model may call several tools in one turn (true) */
    int32_t      priority; /* -1000 … 1000; higher runs go first if not all fit at once (0) */
    int32_t      max_turns; /* answers of the model, those with tool calls included; 1 … 1000 (16) */
    const char * output_schema; /* JSON Schema that the answer has to match; NULL = free text (NULL) */
    bool         review_output; /* wait for luup_run_review_output() before a run with a schema ends (false) */
    int32_t      output_retries; /* outputs that may be rejected, 0 … 100 (1) */
    bool         confidence; /* report the probability of enums and booleans in the DONE event (false) */
    /* Score these answers instead of generating one: the TEXT event has a JSON array with the log-probability of each
     * of them among all of them, given what they begin with (NULL) */
    const char * const * choices;
    size_t               n_choices; /* at most 1,024 */
    bool keep_on_error; /* the messages of a run that fails or is cancelled enter the history too (false) */
    /* In place of output_schema, one of the next three may say that the answer is a plain text of a certain form. A
     * local model can write nothing else. The answer of a server is checked, and requested again as one that does not
     * match output_schema is; white space around it is accepted, and OUTPUT events and the history lack it. For example
     *
     *     luup_run_params params;
     *     luup_run_default_params(&params);
     *     params.output_choices = "[\"positive\", \"negative\"]";
     *     char * label = NULL;
     *     luup_agent_generate(agent, "How does this sound: I love it!", &params, &label);
     *
     * output_pattern: a regular expression that the whole answer matches, with the syntax of `pattern` in a JSON
     * Schema. output_grammar: a grammar in llama.cpp's notation (GBNF) with a rule `root`. output_choices: a JSON array
     * of 1 … 1,024 texts, one of which is the answer; with `confidence`, its probability among them is reported for the
     * JSON pointer "". */
    const char * output_pattern; /* (NULL) */
    const char * output_grammar; /* (NULL) */
    const char * output_choices; /* (NULL) */
    bool         record_prompts; /* keep the prompt of each turn for luup_run_get_turns() (false) */
    /* For this run in place of the agent's system prompt; "" = none; NULL = the agent's (NULL) */
    const char * system_prompt;
    /* JSON array in the form of luup_agent_get_history(): what the model reads in place of the history, in this run
     * alone. The stored history stays, and gets the messages of the run as usual; a summary that this run makes is lost
     * with it. NULL = the history (NULL) */
    const char * history;
    /* Pictures and sounds of the message, by `offset`; the message may then be "". A local model needs a projector
     * (luup_model_params.mmproj), else LUUP_ERROR_UNSUPPORTED. In histories they are content parts of OpenAI's chat
     * API: image_url, with a data URL, and input_audio (NULL) */
    const luup_media * media;
    size_t             n_media; /* at most 256 */
    /* The prompt is `message` as it is, without the chat template, the system prompt and the history, and the model
     * goes on with it. A name of a control token in it stays text; the vocabulary's own first token comes first, as for
     * luup_model_tokenize(). Not with a tool, `choices` or a typed output; a remote model has none:
     * LUUP_ERROR_UNSUPPORTED (false) */
    bool raw_prompt;
} luup_run_params;

/* Fills `params` with the defaults. NULL is ignored. */
LUUP_API void luup_run_default_params(luup_run_params * params);

/* The fields of luup_event that each type fills are given after its colon. */
typedef enum luup_event_type {
    LUUP_EVENT_NONE = 0, /* nothing yet: the time is up, or the run has ended and all events were taken */
    /* Text of the answer, all that is ready, in whole characters: text. Text that comes within 5 ms of the last TEXT
     * event is ready after these 5 ms. */
    LUUP_EVENT_TEXT      = 1,
    LUUP_EVENT_REASONING = 2, /* reasoning before the answer: text */
    LUUP_EVENT_PROGRESS  = 3, /* prompt tokens that are prefilled: progress_done, progress_total */
    /* The run waits for luup_run_submit_tool_result(): call_id, tool_name, text = arguments, calls_left */
    LUUP_EVENT_TOOL_CALL = 4,
    /* The run waits for luup_run_review_output(): text = the whole output, valid against the schema */
    LUUP_EVENT_OUTPUT = 5,
    LUUP_EVENT_RETRY  = 6, /* the text so far was rejected, and a new answer begins: text = why */
    /* The run of a remote model waits for luup_run_push_chunk(): text = the JSON body to post, model_index */
    LUUP_EVENT_COMPLETION_REQUEST = 7,
    /* The library has answered a call itself, of a built-in tool or one that can't be made: call_id, tool_name,
     * arguments, is_error, refused, text = the result that the model reads */
    LUUP_EVENT_TOOL_RESULT = 8,
    /* The run waits for luup_run_submit_summary(): text = JSON array of the messages to summarize */
    LUUP_EVENT_SUMMARY_REQUEST = 9,
    /* A summary, text, has replaced the progress_done oldest of progress_total messages */
    LUUP_EVENT_SUMMARIZED = 10,
    LUUP_EVENT_DONE       = 16, /* the run has answered; the last event: finish_reason, usage, timings, confidence */
    LUUP_EVENT_ERROR      = 17 /* the run has failed; the last event: error, text = the message, usage, timings */
} luup_event_type;

typedef enum luup_finish_reason {
    LUUP_FINISH_NONE       = 0,
    LUUP_FINISH_STOP       = 1, /* the model ended its answer, or wrote a stop text */
    LUUP_FINISH_LENGTH     = 2, /* max_tokens were decoded, or with max_tokens -1 the context is full */
    LUUP_FINISH_TOOL_CALLS = 3 /* luup_run_suspend(): calls in the history wait for their results */
} luup_finish_reason;

/* Strings are never NULL; they are valid until the run's next luup_run_next() or its destruction. Fields that do not
 * belong to the type are zero or "". All types but NONE have the counts of the run so far, `turns` and the fields that
 * end with `_tokens`: DONE and ERROR of the whole run, the others of the turns that have ended and, of a local model,
 * of the one under way: its prompt, and the tokens that were decoded when the event came. */
typedef struct luup_event {
    luup_event_type    type;
    const char *       text;
    size_t             text_length; /* bytes */
    int32_t            error; /* a luup_error; LUUP_SUCCESS unless type is LUUP_EVENT_ERROR */
    luup_finish_reason finish_reason;
    int32_t            progress_done; /* tokens */
    int32_t            progress_total; /* tokens */
    int32_t            prompt_tokens; /* of the prompts of all turns */
    int32_t            cached_tokens; /* prompt tokens that needed no prefill */
    int32_t            answer_tokens; /* decoded, thoughts and the final control token included */
    double             queue_seconds; /* waiting for a sequence */
    double             prefill_seconds; /* from then to the first token */
    double             decode_seconds; /* from the first token to the last */
    double             first_token_seconds; /* from luup_run_start() to the first token; 0 if there was none */
    double             total_seconds; /* from luup_run_start() to the end, tools included */
    const char *       call_id; /* of TOOL_CALL and TOOL_RESULT */
    const char *       tool_name; /* of TOOL_CALL and TOOL_RESULT */
    int32_t            calls_left; /* of TOOL_CALL: calls of the same turn in the events right after this one */
    int32_t            turns; /* answers of the model so far, the one under way included */
    const char * confidence; /* of DONE: JSON object of JSON pointer to probability; "" if not requested or unknown */
    int32_t      model_index; /* of COMPLETION_REQUEST: the index of the fallback's model; else 0 */
    const char * arguments; /* of TOOL_RESULT */
    bool         is_error; /* of TOOL_RESULT: the call failed, and text says why */
    int32_t recomputed_tokens; /* prompt tokens that an earlier turn of the agent had computed, but that were dropped */
    bool    refused; /* of TOOL_RESULT: there is no such tool, or its schema refuses the arguments */
    int32_t reasoning_tokens; /* those of answer_tokens that were thoughts */
    /* Of TEXT, and of DONE for what no text came with: JSON array of the tokens of the text, in the form of OpenAI's
     * logprobs.content, such as [{"token": "Paris", "id": 7042, "logprob": -0.02, "bytes": [80, 97, 114, 105, 115],
     * "top_logprobs": [{"token": "Paris", ...}]}]. Tokens of a server have an "id" only if it sends one. "" without
     * tokens */
    const char * logprobs;
} luup_event;

/* Starts to answer `message`; never waits for the model. `message` NULL continues a history that ends with a user
 * message, tool results, or tool calls that wait for theirs. Pull the events with luup_run_next(). On failure there is
 * no run: LUUP_ERROR_INVALID_PARAM, LUUP_ERROR_CONTEXT_FULL, LUUP_ERROR_BUSY, LUUP_ERROR_CLOSED,
 * LUUP_ERROR_CHAT_TEMPLATE, LUUP_ERROR_TIMED_OUT. The message and its answer enter the history together when the run
 * ends with DONE; a run that fails or is cancelled does not change the history, unless `keep_on_error` is set. */
LUUP_API int luup_run_start(luup_agent * agent, const char * message, const luup_run_params * params, luup_run ** run);

/* Writes what the model would get first of luup_run_start() with the same arguments, and starts nothing: the history,
 * the KV cache and the server are left alone. `text` receives the prompt's text, with control tokens by their names;
 * free it with luup_string_free(). `tokens` receives at most `capacity` of its tokens, and `n_tokens` their number, as
 * in luup_model_tokenize(). For a remote model, and for a fallback whose first model is one, `text` is the JSON body of
 * the request, and `n_tokens` is 0. The prompt may be larger than the context; the run would then summarize first, or
 * fail. Example:
 *
 *     char * text = NULL;
 *     size_t n    = 0;
 *     if (luup_agent_preview_run(agent, "Hello", NULL, &text, NULL, 0, &n) == LUUP_SUCCESS) {
 *         printf("%zu tokens:\n%s\n", n, text);
 *     }
 *     luup_string_free(text);
 *
 * Blocks while it renders, and loads the weights if they are not in memory; `timeout_ms` limits that. Any thread may
 * call it, also while a run of the agent is under way, whose messages are not in the history yet. Fails like
 * luup_run_start(), but never with LUUP_ERROR_BUSY or LUUP_ERROR_CONTEXT_FULL. LUUP_ERROR_INVALID_PARAM also if tool
 * calls at the end of the history wait for their results. On failure the output parameters are untouched. */
LUUP_API int luup_agent_preview_run(luup_agent * agent, const char * message, const luup_run_params * params,
                                    char ** text, int32_t * tokens, size_t capacity, size_t * n_tokens);

/* Waits up to `timeout_ms` (0 = do not wait, -1 = no limit) for the next event, and fills `event`. Exactly one DONE or
 * ERROR event ends a run; afterwards only NONE comes, at once. Returns LUUP_SUCCESS whenever it fills `event`; for an
 * ERROR event it also sets luup_last_error_message(). */
LUUP_API int luup_run_next(luup_run * run, int32_t timeout_ms, luup_event * event);

/* Waits up to `timeout_ms` (0 = do not wait, -1 = no limit) until the run has ended or waits for the host: tool
 * results, a review, a summary, a request to post, or the event of a refused call to be taken. `ended` receives whether
 * it has ended. The events stay for luup_run_next(); a caller that wants the whole answer is not woken for each token.
 */
LUUP_API int luup_run_wait(luup_run * run, int32_t timeout_ms, bool * ended);

/* Writes a byte to `fd` (a non-blocking socket or pipe; a SOCKET on Windows) whenever an event arrives and none was
 * waiting; at once if events wait now. -1 turns it off; until then `fd` has to stay open. You own `fd`. */
LUUP_API int luup_run_set_wakeup_fd(luup_run * run, intptr_t fd);

/* Makes a waker, for an event loop that waits for many runs: it writes a byte to `fd` (a non-blocking socket or pipe; a
 * SOCKET on Windows) when a run has events, and keeps which runs those are. At most one byte is on its way, however
 * many runs have events. You own `fd`; it has to stay open until the waker is destroyed. */
LUUP_API int luup_waker_create(intptr_t fd, luup_waker ** waker);

/* Destroys a waker. Its runs go on without it. */
LUUP_API void luup_waker_destroy(luup_waker * waker);

/* Has `waker` wake its host for the events of `run`, whose luup_run_next() had none; at once if it has some now. NULL
 * turns it off. `tag` is what luup_waker_take() calls the run: choose another one for each run. Without `for_text`,
 * text, reasoning and progress wait until another event comes, for a host that wants the whole answer. */
LUUP_API int luup_run_set_waker(luup_run * run, luup_waker * waker, uint64_t tag, bool for_text);

/* Writes the tags of up to `capacity` runs that have had events since the last call to `tags`, and their number to
 * `n_tags`; call it again at once if it is `capacity`. If there was a run, call it again within a few milliseconds,
 * even if no byte comes: until then, text, reasoning and progress write none. So a host is woken a few hundred times a
 * second at most, and not for every token. Never waits. */
LUUP_API int luup_waker_take(luup_waker * waker, uint64_t * tags, size_t capacity, size_t * n_tags);

/* Answers the TOOL_CALL event `call_id`: `content` is the tool's result, or with `is_error` the reason why it failed,
 * as text for the model. Answer the calls of a turn in any order and from any thread; the run continues after the last.
 * LUUP_ERROR_INVALID_PARAM if `call_id` is not a pending call. Does nothing if the run has ended. */
LUUP_API int luup_run_submit_tool_result(luup_run * run, const char * call_id, const char * content, bool is_error);

/* Answers the TOOL_CALL event `call_id` with the error `content`, and ends the run with LUUP_ERROR_CANCELLED.
 * LUUP_ERROR_INVALID_PARAM if `call_id` is not a pending call. Does nothing if the run has ended. */
LUUP_API int luup_run_fail_tool_call(luup_run * run, const char * call_id, const char * content);

/* Answers the OUTPUT event. `problem` NULL accepts the output, and the run ends with DONE. Otherwise the model reads
 * the problem and answers again, up to output_retries times; then the run ends with LUUP_ERROR_INVALID_OUTPUT.
 * LUUP_ERROR_INVALID_PARAM if no output waits for a review. Does nothing if the run has ended. */
LUUP_API int luup_run_review_output(luup_run * run, const char * problem);

/* Answers a COMPLETION_REQUEST event, piece by piece. Post the event's body to the server's /chat/completions; `json`
 * is the data of one server-sent event of the response ("[DONE]" included), or the whole response if the server does
 * not stream. `more` (may be NULL) receives false once the answer is complete, a chunk was wrong, or the run has ended.
 * A wrong chunk fails the run with LUUP_ERROR_JSON_PARSE_FAILED or LUUP_ERROR_HTTP_FAILED; one without a part of an
 * answer, such as a ping, is ignored. LUUP_ERROR_INVALID_PARAM if
 * the run does not wait for a completion. */
LUUP_API int luup_run_push_chunk(luup_run * run, const char * json, bool * more);

/* Ends the response to a COMPLETION_REQUEST. `status` LUUP_SUCCESS: the response was read to its end; if it had no
 * finish_reason, the run fails after the text so far. An error code: the request failed, and `message` (may be NULL)
 * says why; the run fails with this error unless the answer was complete. LUUP_ERROR_UNSUPPORTED before the first
 * chunk: the server refuses the request, and `message` has its words. If they are about `response_format`, about fields
 * of messages or about an empty content, the run asks again in another form, and so do later runs of the model. */
LUUP_API int luup_run_end_completion(luup_run * run, int status, const char * message);

/* Answers the SUMMARY_REQUEST event. `summary` replaces the messages; NULL lets the model write the summary.
 * LUUP_ERROR_INVALID_PARAM if it is empty or the run does not wait for a summary. Does nothing if the run has ended. */
LUUP_API int luup_run_submit_summary(luup_run * run, const char * summary);

/* Ends a run that waits for tool results with DONE and LUUP_FINISH_TOOL_CALLS. Its messages, with the calls and the
 * results so far, enter the history, which may be stored and loaded elsewhere; luup_run_start() with message NULL hands
 * out the unanswered calls again. LUUP_ERROR_INVALID_PARAM if the run does not wait for tool results. */
LUUP_API int luup_run_suspend(luup_run * run);

/* Writes the messages that the run has added to the conversation so far, in the form of luup_agent_get_history(). Of a
 * run that has failed they are complete: calls without a result have an error as their result, and an answer that broke
 * off is the last message. Free them with luup_string_free(). */
LUUP_API int luup_run_get_messages(const luup_run * run, char ** json);

/* Writes a JSON array of the requests to a model that the run has made so far and that have ended, from number `first`
 * on (0 = all). Free it with luup_string_free(). Any thread may call it. A request is an object such as
 *
 *     {"kind": "answer", "model": "model.gguf", "raw": "<tool_call>...", "text": "", "reasoning": "",
 *      "calls": [{"id": "call_1", "name": "add", "arguments": "{\"a\":5}"}], "finish_reason": "tool_calls",
 *      "problem": null, "error": null, "error_code": 0, "decisions": ["the model began a call: ..."],
 *      "began_seconds": 0.0, "ended_seconds": 0.4, "began_unix_seconds": 1796000000.5, "queue_seconds": 0.0,
 *      "prefill_seconds": 0.1, "decode_seconds": 0.3, "first_token_seconds": 0.1, "prompt_tokens": 90,
 *      "cached_tokens": 0, "recomputed_tokens": 0, "answer_tokens": 21, "reasoning_tokens": 0,
 *      "prompt": "<|im_start|>...", "prompt_ids": [1, 9690]}
 *
 * `kind` is "answer" or "summary". `raw` is all that the model wrote, control tokens aside; of a server its text.
 * `finish_reason` is "stop", "length", "tool_calls" or null. `problem` says why the answer was rejected; `error` says
 * why the request failed, and `error_code` is the luup_error of that. Both texts are null otherwise. `decisions` say
 * why calls were made or not. `began_seconds` and `ended_seconds` count from luup_run_start(), `began_unix_seconds`
 * from 1970. `prompt` and `prompt_ids` are as in luup_agent_preview_run(), and there only with `record_prompts`. */
LUUP_API int luup_run_get_turns(const luup_run * run, size_t first, char ** json);

/* Ends the thoughts of the answer that is under way, from any thread: the library writes the end of the thoughts in the
 * model's own format, and the answer goes on. Does nothing if the model does not think, or the run has ended.
 * LUUP_ERROR_UNSUPPORTED for a remote model. */
LUUP_API int luup_run_stop_thinking(luup_run * run);

/* Ends the run soon with LUUP_ERROR_CANCELLED, even in the middle of a prefill. Does nothing for NULL or a run that has
 * ended. */
LUUP_API void luup_run_cancel(luup_run * run);

/* Cancels the run if it is active, and destroys the handle; never waits for the model. */
LUUP_API void luup_run_destroy(luup_run * run);

/* ---------------------------------------------------------------------------------------------------------------------
 * Convenience functions for C programs, on top of runs
 * ------------------------------------------------------------------------------------------------------------------ */

/* Receives each new piece of the answer, in the thread of luup_agent_generate_stream(). Return false to cancel the run.
 */
typedef bool (*luup_text_callback)(const char * text, size_t length, void * user_data);

/* Answers `message` and writes the whole text to `text`; free it with luup_string_free(). Blocks. */
LUUP_API int luup_agent_generate(luup_agent * agent, const char * message, const luup_run_params * params,
                                 char ** text);

/* Answers `message` and passes the text to `callback` as it comes. Blocks. LUUP_ERROR_CANCELLED if the callback
 * returned false. */
LUUP_API int luup_agent_generate_stream(luup_agent * agent, const char * message, const luup_run_params * params,
                                        luup_text_callback callback, void * user_data);

/* ---------------------------------------------------------------------------------------------------------------------
 * Vectors of texts
 *
 *   An embedder is a model that makes one vector of each text: the closer the meanings of two texts, the larger the
 *   cosine of their vectors, which is the sum of the products of their numbers if they are normalized. Three vectors:
 *
 *   #include <stdio.h>
 *   #include "luup_agent.h"
 *
 *   int main(int argc, char ** argv) {
 *       const char *       texts[] = { "A cat sleeps.", "A kitten naps.", "Rates rise again." };
 *       luup_embedder *    embedder = NULL;
 *       luup_embedder_info info;
 *       float              vectors[3 * 4096];
 *       int                code = LUUP_ERROR_INVALID_PARAM;
 *       info.size = sizeof(info);
 *       if (argc > 1 && luup_embedder_load(argv[1], NULL, &embedder) == LUUP_SUCCESS &&
 *           luup_embedder_get_info(embedder, &info) == LUUP_SUCCESS) {
 *           code = luup_embedder_embed(embedder, texts, 3, NULL, vectors, sizeof(vectors) / sizeof(float), NULL);
 *       }
 *       if (code == LUUP_SUCCESS) {
 *           for (int other = 1; other < 3; other++) {
 *               float cosine = 0;
 *               for (int i = 0; i < info.dimensions; i++) cosine += vectors[i] * vectors[other * info.dimensions + i];
 *               printf("%s %.2f\n", texts[other], cosine);
 *           }
 *       } else {
 *           fprintf(stderr, "%s\n", luup_last_error_message());
 *       }
 *       luup_embedder_destroy(embedder);
 *       return code == LUUP_SUCCESS ? 0 : 1;
 *   }
 * ------------------------------------------------------------------------------------------------------------------ */

/* How a model makes one vector of those of a text's tokens. */
typedef enum luup_pooling {
    LUUP_POOLING_DEFAULT = -1, /* as the file says; an error if it does not */
    LUUP_POOLING_MEAN    = 1, /* their mean */
    LUUP_POOLING_CLS     = 2, /* the one of the first token */
    LUUP_POOLING_LAST    = 3, /* the one of the last token */
    LUUP_POOLING_RANK    = 4 /* a score in place of a vector: the model reranks; can't be chosen */
} luup_pooling;

/* Defaults are in parentheses. */
typedef struct luup_embedder_params {
    size_t  size;
    int32_t gpu_layers; /* as in luup_model_params (-1) */
    /* Tokens of the longest text, 8 … 65536, at most those that the model was trained with; memory grows with it.
     * LUUP_CONTEXT_SIZE_DEFAULT: what the model was trained with, at most 2,048 (LUUP_CONTEXT_SIZE_DEFAULT) */
    int32_t              context_size;
    int32_t              batch_size; /* tokens of short texts that are computed together, 32 … 16384 (512) */
    int32_t              threads; /* at most 512; 0 = as many as the machine grants (0) */
    luup_pooling         pooling; /* (LUUP_POOLING_DEFAULT) */
    bool                 use_mmap; /* map the file instead of reading it (true) */
    bool                 use_mlock; /* keep the weights from being swapped out (false) */
    luup_load_progress   progress; /* may be NULL (NULL) */
    void *               user_data; /* for `progress` */
    const char * const * devices; /* as in luup_model_params (NULL) */
    size_t               n_devices;
    const char *         weights_cache; /* as in luup_model_params (NULL) */
    int64_t              weights_cache_size;
} luup_embedder_params;

/* Fills `params` with the defaults. NULL is ignored. */
LUUP_API void luup_embedder_default_params(luup_embedder_params * params);

/* The strings belong to the embedder. */
typedef struct luup_embedder_info {
    size_t       size;
    const char * path;
    const char * description; /* "bert 22M F16" */
    const char * architecture; /* "bert", "nomic-bert", "qwen3", … */
    const char * file_type; /* "F16", "Q8_0", … */
    const char * backend; /* where the layers run: "CPU", "CUDA", … */
    const char * device; /* that device's description */
    const char * cpu_variant;
    uint64_t     parameters; /* the number of weights */
    uint64_t     memory_weights; /* bytes */
    uint64_t     memory_context; /* bytes of KV cache; 0 for most */
    uint64_t     memory_compute; /* bytes of scratch buffers */
    luup_pooling pooling;
    int32_t      dimensions; /* numbers of a vector */
    int32_t      context_size; /* tokens of the longest text */
    int32_t      training_context_size; /* tokens */
    int32_t      vocabulary_size;
    int32_t      layers;
    int32_t      gpu_layers; /* layers on GPUs */
    int32_t      threads;
    int32_t      batch_size;
    double       load_seconds;
} luup_embedder_info;

/* Reports how many texts of a call are done, in the thread of the call and about every 100 ms. Return false to end it
 * (LUUP_ERROR_CANCELLED). It may close the embedder, but not use it in other ways (LUUP_ERROR_BUSY). */
typedef bool (*luup_embed_progress)(size_t done, size_t total, void * user_data);

/* Defaults are in parentheses. */
typedef struct luup_embed_params {
    size_t              size;
    bool                normalize; /* scale each vector to the length 1; one of zeros stays (true) */
    bool                truncate; /* leave out the last tokens of texts that are too long (false) */
    luup_embed_progress progress; /* may be NULL (NULL) */
    void *              user_data; /* for `progress` */
} luup_embed_params;

/* Fills `params` with the defaults. NULL is ignored. */
LUUP_API void luup_embed_default_params(luup_embed_params * params);

/* Loads a GGUF file. `params` may be NULL for the defaults. LUUP_ERROR_MODEL_LOAD_FAILED also for a model that makes no
 * vectors: it has no pooling and `params` has none, or an architecture that can't. Otherwise as luup_model_load(). */
LUUP_API int luup_embedder_load(const char * path, const luup_embedder_params * params, luup_embedder ** embedder);

/* Fills `info`, whose `size` field must be set. Works after luup_embedder_close() too. */
LUUP_API int luup_embedder_get_info(const luup_embedder * embedder, luup_embedder_info * info);

/* Writes the number of tokens of a text, with those that begin and end it, into `n_tokens`. */
LUUP_API int luup_embedder_count_tokens(luup_embedder * embedder, const char * text, size_t * n_tokens);

/* Makes a vector of each of the `n_texts` texts: `vectors`, of which you own the memory, receives `dimensions` numbers
 * for each, one text after the other, and `capacity` says for how many numbers it has room. `n_tokens` (may be NULL)
 * receives the tokens that were read of each text. `params` may be NULL for the defaults. On failure the contents of
 * `vectors` are undefined.
 *
 * Computes in the calling thread, and short texts together. Calls of several threads take turns, batch by batch and in
 * the order in which they came. No text is special: names of control tokens in it stay text.
 *
 * LUUP_ERROR_CONTEXT_FULL: a text has more tokens than context_size, and `truncate` is not set; nothing was computed.
 * LUUP_ERROR_UNSUPPORTED: the model ranks texts. LUUP_ERROR_INFERENCE_FAILED: also if a result is not a number.
 * LUUP_ERROR_CANCELLED, LUUP_ERROR_CLOSED, LUUP_ERROR_INVALID_PARAM, LUUP_ERROR_OUT_OF_MEMORY. */
LUUP_API int luup_embedder_embed(luup_embedder * embedder, const char * const * texts, size_t n_texts,
                                 const luup_embed_params * params, float * vectors, size_t capacity,
                                 int32_t * n_tokens);

/* Scores how well each of the `n_documents` documents answers a query; larger is better. `scores` receives a number for
 * each document. A model that ranks (LUUP_POOLING_RANK) reads the query and a document together, in the template of its
 * file or as a pair, and its scores have no bounds. Other models compare their vectors: the scores are cosines.
 * `n_tokens` (may be NULL) receives 1 + n_documents numbers: the tokens of the query, 0 if they are read with each
 * document, and those of each document. `truncate` leaves out the ends of documents; `normalize` has no effect.
 * Otherwise as luup_embedder_embed(). */
LUUP_API int luup_embedder_rerank(luup_embedder * embedder, const char * query, const char * const * documents,
                                  size_t n_documents, const luup_embed_params * params, float * scores,
                                  int32_t * n_tokens);

/* Ends every call of the embedder with LUUP_ERROR_CLOSED and frees its memory. Later calls fail with LUUP_ERROR_CLOSED.
 * Does nothing the second time. */
LUUP_API int luup_embedder_close(luup_embedder * embedder);

/* Closes the embedder and destroys the handle. */
LUUP_API void luup_embedder_destroy(luup_embedder * embedder);

/* Frees a string that this library has returned for luup_string_free(). NULL is ignored. */
LUUP_API void luup_string_free(char * text);

#ifdef __cplusplus
}
#endif

#endif /* LUUP_AGENT_H */
