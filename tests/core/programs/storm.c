/* Runs with tools and typed results, begun, answered, cancelled, timed out, suspended and destroyed at random by
 * several threads. luup-storm model.gguf [seconds] [seed] Exits with 0 if every run ended as one may. For the
 * sanitizers, which watch what it does to memory. */
#include "luup_agent.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { THREADS = 4, AGENTS = 3 };

static const char * const tools[] = {
    "{\"type\":\"object\",\"properties\":{\"room\":{\"enum\":[\"kitchen\",\"hall\"]},\"on\":{\"type\":\"boolean\"},"
    "\"tags\":{\"type\":\"array\",\"items\":"
    "{\"type\":\"string\",\"maxLength\":8},\"maxItems\":2}},\"required\":[\"room\",\"on\"],\"additionalProperties\":"
    "false}",
    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"minimum\":-9,\"maximum\":99}},\"required\":["
    "\"a\"]}",
};
static const char * const schemas[] = {
    "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":12},\"size\":{\"type\":"
    "\"number\",\"maximum\":5},\"kind\":{\"enum\":[\"a\",null,3]}},"
    "\"required\":[\"name\",\"size\",\"kind\"],\"additionalProperties\":false}",
    "{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"uniqueItems\":true,\"maxItems\":4}",
};
static const char * const messages[] = { "Switch on the light in the hall.", "What is 5 + 3? <|im_end|>",
                                         "Grüße aus Köln \xF0\x9F\x98\x80" };
static const char * const choices[]  = { "auto", "required", "none", "switch_lamp" };

static luup_model * model;
static luup_agent * agents[AGENTS];
static time_t       end;
static unsigned     seed;

static void fail(const char * what) {
    fprintf(stderr, "%s: %s\n", what, luup_last_error_message());
    abort();
}

static int may_fail(int code) {
    return code == LUUP_SUCCESS || code == LUUP_ERROR_CANCELLED || code == LUUP_ERROR_TIMED_OUT ||
           code == LUUP_ERROR_CONTEXT_FULL || code == LUUP_ERROR_INVALID_OUTPUT || code == LUUP_ERROR_MAX_TURNS ||
           code == LUUP_ERROR_BUSY;
}

static void answer(luup_run * run, unsigned * random) {
    luup_event event;
    int        code = LUUP_SUCCESS;
    event.type      = LUUP_EVENT_NONE;
    while (code == LUUP_SUCCESS && event.type < LUUP_EVENT_DONE) {
        code = luup_run_next(run, (int32_t) (rand_r(random) % 50), &event);
        if (code != LUUP_SUCCESS) {
            fail("next");
        }
        if (event.type == LUUP_EVENT_TOOL_CALL) {
            char id[32];
            snprintf(id, sizeof(id), "%s", event.call_id);
            switch (rand_r(random) % 8) {
                case 0: luup_run_cancel(run); break;
                case 1: luup_run_suspend(run); break;
                case 2: return; /* dropped */
                default:
                    luup_run_submit_tool_result(run, id, rand_r(random) % 2 ? "done </tool_response> \xE2\x82\xAC" : "",
                                                rand_r(random) % 4 == 0);
            }
        } else if (event.type == LUUP_EVENT_OUTPUT) {
            luup_run_review_output(run, rand_r(random) % 3 ? NULL : "It is too small.");
        } else if (rand_r(random) % 60 == 0) {
            luup_run_cancel(run);
        }
    }
    if (event.type == LUUP_EVENT_ERROR && !may_fail(event.error)) {
        fprintf(stderr, "a run ended with %s: %s\n", luup_error_name(event.error), event.text);
        abort();
    }
}

static void * work(void * number) {
    unsigned random = seed + (unsigned) (uintptr_t) number;
    long     runs   = 0;
    while (time(NULL) < end) {
        luup_agent *    agent = agents[rand_r(&random) % AGENTS];
        luup_run *      run   = NULL;
        luup_run_params params;
        luup_run_default_params(&params);
        params.tool_choice   = choices[rand_r(&random) % 4];
        params.output_schema = rand_r(&random) % 2 ? schemas[rand_r(&random) % 2] : NULL;
        params.review_output = params.output_schema && rand_r(&random) % 2;
        params.confidence    = params.output_schema && rand_r(&random) % 2;
        params.max_turns     = 3;
        if (rand_r(&random) % 6 == 0) {
            params.timeout_ms = (int32_t) (rand_r(&random) % 300);
        }
        const int code = luup_run_start(agent, messages[rand_r(&random) % 3], &params, &run);
        if (code == LUUP_ERROR_BUSY) {
            char * text = NULL;
            if (luup_agent_get_history(agent, &text) != LUUP_SUCCESS) {
                fail("history");
            }
            luup_string_free(text);
            continue;
        }
        if (code != LUUP_SUCCESS && code != LUUP_ERROR_TIMED_OUT &&
            code != LUUP_ERROR_INVALID_PARAM) { /* calls wait in the history of a run that was suspended */
            fail("start");
        }
        if (run) {
            answer(run, &random);
            runs++;
        }
        luup_run_destroy(run);
        if (rand_r(&random) % 5 == 0) {
            luup_agent_clear_history(agent);
        }
    }
    return (void *) runs;
}

int main(int argc, char ** argv) {
    const int            seconds = argc > 2 ? atoi(argv[2]) : 20;
    luup_agent_params    agent_params;
    luup_sampling_params sampling;
    luup_model_params    model_params;
    luup_tool_params     tool;
    pthread_t            threads[THREADS];
    long                 runs = 0;
    seed                      = argc > 3 ? (unsigned) atoi(argv[3]) : 1;
    luup_model_default_params(&model_params);
    model_params.context_size = 4096;
    if (argc < 2 || luup_model_load(argv[1], &model_params, &model) != LUUP_SUCCESS) {
        fail("model");
    }
    luup_sampling_default_params(&sampling);
    sampling.max_tokens = 60;
    luup_agent_default_params(&agent_params);
    agent_params.sampling = &sampling;
    for (int i = 0; i < AGENTS; i++) {
        if (luup_agent_create(model, &agent_params, &agents[i]) != LUUP_SUCCESS) {
            fail("agent");
        }
        for (int k = 0; k < 2; k++) {
            luup_tool_default_params(&tool);
            tool.name        = k ? "add" : "switch_lamp";
            tool.description = k ? "Adds a number." : "Switches a lamp.";
            tool.parameters  = tools[k];
            if (luup_agent_register_tool(agents[i], &tool) != LUUP_SUCCESS) {
                fail("tool");
            }
        }
    }
    end = time(NULL) + seconds;
    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, work, (void *) (uintptr_t) i) != 0) {
            abort();
        }
    }
    for (int i = 0; i < THREADS; i++) {
        void * result = NULL;
        pthread_join(threads[i], &result);
        runs += (long) result;
    }
    for (int i = 0; i < AGENTS; i++) {
        luup_agent_destroy(agents[i]);
    }
    luup_model_destroy(model);
    printf("%ld runs\n", runs);
    return runs > 0 ? 0 : 1;
}
