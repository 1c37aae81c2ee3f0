/* A C program that shows the prompt of a run and its turns, compiled and run by test_preview_library.py. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "luup_agent.h"

static void check(int code, const char * what) {
    if (code != LUUP_SUCCESS) {
        fprintf(stderr, "%s: %s\n", what, luup_last_error_message());
        exit(1);
    }
}

static void expect(int condition, const char * what) {
    if (!condition) {
        fprintf(stderr, "not so: %s\n", what);
        exit(1);
    }
}

int main(int argc, char ** argv) {
    luup_model *    model = NULL;
    luup_agent *    agent = NULL;
    luup_run *      run   = NULL;
    luup_run_params params;
    luup_event      event;
    char *          text = NULL, *again = NULL, *joined = NULL, *turns = NULL, *history = NULL;
    int32_t         few[4] = { -1, -1, -1, -1 }, *all;
    size_t          n = 7, same = 0;

    check(argc > 1 ? luup_model_load(argv[1], NULL, &model) : -1, "model");
    check(luup_agent_create(model, NULL, &agent), "agent");
    luup_run_default_params(&params);
    params.record_prompts = true;

    /* On failure nothing is written. */
    expect(luup_agent_preview_run(agent, "", &params, &text, few, 4, &n) == LUUP_ERROR_INVALID_PARAM, "empty message");
    expect(luup_agent_preview_run(agent, NULL, &params, &text, few, 4, &n) == LUUP_ERROR_INVALID_PARAM, "no message");
    expect(luup_agent_preview_run(agent, "Hi", &params, NULL, few, 4, &n) == LUUP_ERROR_INVALID_PARAM, "no text");
    expect(luup_agent_preview_run(agent, "Hi", &params, &text, NULL, 4, &n) == LUUP_ERROR_INVALID_PARAM, "no tokens");
    expect(luup_agent_preview_run(NULL, "Hi", &params, &text, few, 4, &n) == LUUP_ERROR_INVALID_PARAM, "no agent");
    expect(text == NULL && n == 7 && few[0] == -1, "untouched");

    /* The text alone, as many tokens as there is room for, and all. */
    check(luup_agent_preview_run(agent, "Hello", NULL, &text, NULL, 0, &n), "text");
    check(luup_agent_preview_run(agent, "Hello", &params, &again, few, 3, &same), "few tokens");
    expect(n == same && n > 4 && few[2] != -1 && few[3] == -1 && strcmp(text, again) == 0, "the first tokens");
    luup_string_free(again);
    all = malloc(n * sizeof(*all));
    check(luup_agent_preview_run(agent, "Hello", &params, &again, all, n, &same), "all tokens");
    check(luup_model_detokenize(model, all, n, &joined), "detokenize");
    expect(strcmp(joined, text) == 0 && memcmp(all, few, 3 * sizeof(*all)) == 0, "the tokens are the text's");
    check(luup_agent_get_history(agent, &history), "history");
    expect(strcmp(history, "[]") == 0, "the history is empty");

    params.max_turns = 1;
    check(luup_run_start(agent, "Hello", &params, &run), "run");
    check(luup_run_get_turns(run, 0, &turns), "turns before");
    expect(strcmp(turns, "[]") == 0, "no turn yet");
    luup_string_free(turns);
    do {
        check(luup_run_next(run, -1, &event), "next");
    } while (event.type < LUUP_EVENT_DONE);
    expect(event.type == LUUP_EVENT_DONE && event.prompt_tokens == (int32_t) n, "the run had these tokens");
    check(luup_run_get_turns(run, 0, &turns), "turns");
    printf("%s\n", turns);
    luup_string_free(turns);
    check(luup_run_get_turns(run, 1, &turns), "turns from 1");
    expect(strcmp(turns, "[]") == 0, "one turn");
    expect(luup_run_get_turns(NULL, 0, &turns) == LUUP_ERROR_INVALID_PARAM, "no run");

    luup_string_free(turns);
    luup_string_free(history);
    luup_string_free(joined);
    luup_string_free(again);
    luup_string_free(text);
    free(all);
    luup_run_destroy(run);
    check(luup_model_close(model), "close");
    expect(luup_agent_preview_run(agent, "Hi", NULL, &text, NULL, 0, &n) == LUUP_ERROR_CLOSED, "closed");
    luup_agent_destroy(agent);
    luup_model_destroy(model);
    return 0;
}
