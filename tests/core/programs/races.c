/* Everything that several threads may do at once with two models and an embedder: runs that others cancel, wait for and
 * stop from thinking, forks, saved agents, previews, statistics, tokens, models that leave memory and come back, and at
 * last models that are closed under their runs. luup-races model.gguf folder [seconds] [seed] Exits with 0 if every
 * call ended as it may. For the thread sanitizer, which watches how threads share memory. */
#include "luup_agent.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RUNNERS = 3, OTHERS = 3, MODELS = 2, AGENTS = 4, LAST_SECONDS = 1 };

static const char * const messages[] = { "Where is the cat?", "Count to ten.",
                                         "Gr\xC3\xBC\xC3\x9F"
                                         "e aus K\xC3\xB6ln" };
static const char * const schema     = "{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"maxItems\":3}";

static luup_model *    models[MODELS];
static luup_agent *    agents[AGENTS];
static luup_embedder * embedder;
static size_t          dimensions;
static const char *    folder;
static time_t          end;
static unsigned        seed;

/* The runs that are under way. A lock keeps the others from using one that is being destroyed, and nothing more. */
static pthread_mutex_t guards[RUNNERS];
static luup_run *      live[RUNNERS];

static void fail(const char * what) {
    fprintf(stderr, "%s: %s\n", what, luup_last_error_message());
    abort();
}

/* Ends the program unless `code` is a success or a failure that another thread may have caused. */
static bool done(const char * what, int code) {
    if (code != LUUP_SUCCESS && code != LUUP_ERROR_BUSY && code != LUUP_ERROR_CLOSED && code != LUUP_ERROR_CANCELLED &&
        code != LUUP_ERROR_CONTEXT_FULL && code != LUUP_ERROR_TIMED_OUT && code != LUUP_ERROR_INVALID_OUTPUT) {
        fail(what);
    }
    return code == LUUP_SUCCESS;
}

static void publish(int number, luup_run * run) {
    pthread_mutex_lock(&guards[number]);
    live[number] = run;
    pthread_mutex_unlock(&guards[number]);
}

static long answer(luup_agent * agent, int number, unsigned * random) {
    luup_run *      run = NULL;
    luup_event      event;
    luup_run_params params;
    event.type = LUUP_EVENT_NONE;
    luup_run_default_params(&params);
    params.output_schema = rand_r(random) % 3 ? NULL : schema;
    if (!done("start", luup_run_start(agent, messages[rand_r(random) % 3], &params, &run))) {
        return 0;
    }
    publish(number, run);
    while (event.type < LUUP_EVENT_DONE && rand_r(random) % 200) { /* some are dropped */
        if (luup_run_next(run, (int32_t) (rand_r(random) % 50), &event) != LUUP_SUCCESS) {
            fail("next");
        }
    }
    if (event.type == LUUP_EVENT_ERROR) {
        done(event.text, event.error);
    }
    publish(number, NULL);
    luup_run_destroy(run);
    return 1;
}

static void * run_agents(void * number) {
    unsigned random = seed + (unsigned) (uintptr_t) number;
    long     runs   = 0;
    while (time(NULL) < end) {
        luup_agent * agent = agents[rand_r(&random) % AGENTS];
        runs += answer(agent, (int) (uintptr_t) number, &random);
        if (rand_r(&random) % 8 == 0) {
            done("clear", luup_agent_clear_history(agent));
        }
    }
    return (void *) runs;
}

static void meddle(unsigned * random) {
    const int number = rand_r(random) % RUNNERS;
    bool      ended  = false;
    char *    text   = NULL;
    pthread_mutex_lock(&guards[number]);
    if (live[number]) {
        switch (rand_r(random) % 4) {
            case 0: luup_run_cancel(live[number]); break;
            case 1: done("stop thinking", luup_run_stop_thinking(live[number])); break;
            case 2: done("messages", luup_run_get_messages(live[number], &text)); break;
            default: done("wait", luup_run_wait(live[number], 5, &ended));
        }
    }
    pthread_mutex_unlock(&guards[number]);
    luup_string_free(text);
}

static void fork_and_answer(luup_agent * agent, luup_model * model) {
    luup_agent * fork = NULL;
    char *       text = NULL;
    if (done("fork", luup_agent_fork(agent, model, &fork))) {
        if (done("generate", luup_agent_generate(fork, "And you?", NULL, &text))) {
            luup_string_free(text);
        }
        luup_agent_destroy(fork);
    }
}

static void save_and_load(luup_agent * agent, luup_model * model, const void * of) {
    luup_agent * loaded = NULL;
    char         path[512];
    snprintf(path, sizeof(path), "%s/%p.agent", folder, of);
    if (done("save", luup_agent_save(agent, path, "{}")) &&
        done("load", luup_agent_load(model, path, NULL, &loaded, NULL))) {
        luup_agent_destroy(loaded);
    }
}

static void preview(luup_agent * agent) {
    char * text = NULL;
    size_t n    = 0;
    done("preview", luup_agent_preview_run(agent, messages[0], NULL, &text, NULL, 0, &n));
    luup_string_free(text);
}

static void ask(luup_agent * agent, luup_model * model) {
    luup_model_stats   stats   = { 0 };
    luup_model_info    info    = { 0 };
    luup_context_usage usage   = { 0 };
    char *             history = NULL;
    bool               loaded  = false;
    stats.size                 = sizeof(stats);
    info.size                  = sizeof(info);
    usage.size                 = sizeof(usage);
    done("stats", luup_model_get_stats(model, &stats));
    done("info", luup_model_get_info(model, &info));
    done("is loaded", luup_model_is_loaded(model, &loaded));
    done("context", luup_agent_get_context(agent, &usage));
    done("history", luup_agent_get_history(agent, &history));
    luup_string_free(history);
}

static void convert(luup_model * model) {
    int32_t tokens[64];
    size_t  n    = 0;
    char *  text = NULL;
    if (done("tokenize", luup_model_tokenize(model, messages[2], false, tokens, 64, &n)) &&
        done("detokenize", luup_model_detokenize(model, tokens, n, &text))) {
        luup_string_free(text);
    }
}

static void embed(void) {
    float * vectors = malloc(3 * dimensions * sizeof(float));
    done("embed", luup_embedder_embed(embedder, messages, 3, NULL, vectors, 3 * dimensions, NULL));
    free(vectors);
}

static void read_log(void) {
    luup_log_level level;
    char           text[256];
    while (luup_log_next(&level, text, sizeof(text))) {
    }
}

static void * disturb(void * number) {
    unsigned random = seed + 100 + (unsigned) (uintptr_t) number;
    while (time(NULL) < end) {
        luup_agent * agent = agents[rand_r(&random) % AGENTS];
        luup_model * model = models[rand_r(&random) % MODELS];
        switch (rand_r(&random) % 10) {
            case 0: fork_and_answer(agent, model); break;
            case 1: save_and_load(agent, model, &random); break;
            case 2: /* seldom: it takes long until the model is back */
                if (rand_r(&random) % 8 == 0) {
                    done("unload", luup_model_unload(model));
                }
                break;
            case 3: preview(agent); break;
            case 4: ask(agent, model); break;
            case 5: convert(model); break;
            case 6: embed(); break;
            case 7: read_log(); break;
            default: meddle(&random);
        }
    }
    return NULL;
}

static void load(const char * path) {
    luup_model_params    model_params;
    luup_agent_params    agent_params;
    luup_sampling_params sampling;
    luup_embedder_params embedder_params;
    luup_embedder_info   info = { 0 };
    luup_model_default_params(&model_params);
    model_params.context_size  = 2048;
    model_params.threads       = 2;
    model_params.weights_cache = folder;
    model_params.prefix_cache  = folder;
    if (luup_model_load(path, &model_params, &models[0]) != LUUP_SUCCESS) {
        fail("model");
    }
    model_params.draft         = path;
    model_params.keep_alive_ms = 20;
    if (luup_model_load(path, &model_params, &models[1]) != LUUP_SUCCESS) {
        fail("model with a draft");
    }
    luup_embedder_default_params(&embedder_params);
    embedder_params.pooling      = LUUP_POOLING_MEAN;
    embedder_params.context_size = 256;
    info.size                    = sizeof(info);
    if (luup_embedder_load(path, &embedder_params, &embedder) != LUUP_SUCCESS ||
        luup_embedder_get_info(embedder, &info) != LUUP_SUCCESS) {
        fail("embedder");
    }
    dimensions = (size_t) info.dimensions;
    luup_sampling_default_params(&sampling);
    sampling.max_tokens = 30;
    luup_agent_default_params(&agent_params);
    agent_params.sampling      = &sampling;
    agent_params.system_prompt = "Answer briefly.";
    for (int i = 0; i < AGENTS; i++) {
        agent_params.enable_history = i > 0; /* the first one may have several runs at once */
        if (luup_agent_create(models[i % MODELS], &agent_params, &agents[i]) != LUUP_SUCCESS) {
            fail("agent");
        }
    }
}

int main(int argc, char ** argv) {
    pthread_t             threads[RUNNERS + OTHERS];
    const int             seconds = argc > 3 ? atoi(argv[3]) : 20;
    const struct timespec last    = { seconds > LAST_SECONDS ? seconds - LAST_SECONDS : 0, 0 };
    long                  runs    = 0;
    if (argc < 3) {
        fprintf(stderr, "usage: luup-races model.gguf folder [seconds] [seed]\n");
        return 2;
    }
    folder = argv[2];
    seed   = argc > 4 ? (unsigned) atoi(argv[4]) : 1;
    load(argv[1]);
    for (int i = 0; i < RUNNERS; i++) {
        pthread_mutex_init(&guards[i], NULL);
    }
    end = time(NULL) + seconds;
    for (int i = 0; i < RUNNERS + OTHERS; i++) {
        if (pthread_create(&threads[i], NULL, i < RUNNERS ? run_agents : disturb, (void *) (uintptr_t) i) != 0) {
            abort();
        }
    }
    nanosleep(&last, NULL);
    for (int i = 0; i < MODELS; i++) { /* under their runs */
        done("close", luup_model_close(models[i]));
    }
    luup_embedder_close(embedder);
    for (int i = 0; i < RUNNERS + OTHERS; i++) {
        void * result = NULL;
        pthread_join(threads[i], &result);
        runs += (long) result;
    }
    luup_embedder_destroy(embedder);
    for (int i = 0; i < MODELS; i++) { /* their agents keep them alive */
        luup_model_destroy(models[i]);
    }
    for (int i = 0; i < AGENTS; i++) {
        luup_agent_destroy(agents[i]);
    }
    printf("%ld runs\n", runs);
    return runs > 0 ? 0 : 1;
}
