/* A C program with a tool and a typed output, compiled and run by test_native.py. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "luup_agent.h"

static int calls = 0;

static void add(luup_run * run, const char * call_id, const char * arguments, void * user_data) {
    calls++;
    printf("add %s %s\n", arguments, (const char *) user_data);
    if (luup_run_submit_tool_result(run, "no such call", "8", false) != LUUP_ERROR_INVALID_PARAM)
        abort();
    if (luup_run_submit_tool_result(run, call_id, "8", false) != LUUP_SUCCESS)
        abort();
}

static void silent(luup_run * run, const char * call_id, const char * arguments, void * user_data) {
    (void) run, (void) call_id, (void) arguments, (void) user_data;
    printf("silent\n");
}

static void check(int code, const char * what) {
    if (code != LUUP_SUCCESS) {
        fprintf(stderr, "%s: %s\n", what, luup_last_error_message());
        exit(1);
    }
}

int main(int argc, char ** argv) {
    luup_model *         model = NULL;
    luup_agent *         agent = NULL;
    luup_agent_params    agent_params;
    luup_sampling_params sampling;
    luup_tool_params     tool;
    luup_run_params      params;
    char *               text = NULL;

    check(argc > 1 ? luup_model_load(argv[1], NULL, &model) : -1, "model");
    luup_sampling_default_params(&sampling);
    sampling.temperature = 0;
    sampling.max_tokens  = 96;
    luup_agent_default_params(&agent_params);
    agent_params.sampling = &sampling;
    check(luup_agent_create(model, &agent_params, &agent), "agent");

    luup_tool_default_params(&tool);
    tool.name        = "add";
    tool.description = "Adds two numbers.";
    tool.parameters =
        "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"integer\"}, \"b\": {\"type\": \"integer\"}}, "
        "\"required\": [\"a\", \"b\"]}";
    tool.callback  = add;
    tool.user_data = "user data";
    check(luup_agent_register_tool(agent, &tool), "tool");
    if (luup_agent_register_tool(agent, &tool) != LUUP_ERROR_INVALID_PARAM)
        abort();
    tool.name       = "silent";
    tool.parameters = NULL;
    tool.callback   = silent;
    check(luup_agent_register_tool(agent, &tool), "second tool");
    tool.name       = "third";
    tool.parameters = "{\"type\": \"object\", \"properties\": {\"a\": {\"not\": {\"format\": \"date\"}}}}";
    if (luup_agent_register_tool(agent, &tool) != LUUP_ERROR_INVALID_SCHEMA)
        abort();
    printf("refused: %s\n", luup_last_error_message());
    if (luup_agent_unregister_tool(agent, "third") != LUUP_ERROR_TOOL_NOT_FOUND)
        abort();

    luup_run_default_params(&params);
    params.tool_choice = "add";
    check(luup_agent_generate(agent, "What is 5 + 3?", &params, &text), "generate");
    luup_string_free(text);
    params.tool_choice = "silent";
    check(luup_agent_generate(agent, "Be silent.", &params, &text), "silent");
    luup_string_free(text);

    params.tool_choice = "none";
    params.output_schema =
        "{\"type\": \"object\", \"properties\": {\"sum\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\": 99}}, "
        "\"required\": [\"sum\"]}";
    check(luup_agent_generate(agent, "What is 5 + 3?", &params, &text), "output");
    printf("output %s\n", text);
    luup_string_free(text);

    check(luup_agent_get_history(agent, &text), "history");
    printf("history %s\n", text);
    check(luup_agent_set_history(agent, text), "set history");
    luup_string_free(text);
    check(luup_agent_unregister_tool(agent, "add"), "unregister");
    luup_agent_destroy(agent);
    luup_model_destroy(model);
    return calls == 1 ? 0 : 1;
}
