/* Asks a model about a picture: pictures MODEL PROJECTOR PICTURE BROKEN. */
#include "luup_agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned char * read_file(const char * path, size_t * size) {
    FILE * file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) {
        exit(2);
    }
    *size = (size_t) ftell(file);
    rewind(file);
    unsigned char * bytes = malloc(*size + 1);
    if (!bytes || fread(bytes, 1, *size, file) != *size) {
        exit(2);
    }
    fclose(file);
    return bytes;
}

static int failed(const char * what) {
    fprintf(stderr, "%s: %s\n", what, luup_last_error_message());
    return 1;
}

int main(int argc, char ** argv) {
    luup_model_params    load;
    luup_run_params      params;
    luup_sampling_params sampling;
    luup_media_info      media_info;
    luup_model_info      info;
    luup_model *         model  = NULL;
    luup_agent *         agent  = NULL;
    char *               answer = NULL;
    char *               text   = NULL;
    size_t               size = 0, broken_size = 0;
    if (argc != 5) {
        return 2;
    }
    unsigned char * picture = read_file(argv[3], &size);
    unsigned char * broken  = read_file(argv[4], &broken_size);
    luup_media      media[] = { { LUUP_MEDIA_IMAGE, picture, size, NULL, 5 } };

    luup_model_default_params(&load);
    load.mmproj       = argv[2];
    load.context_size = 1024;
    if (luup_model_load(argv[1], &load, &model) != LUUP_SUCCESS) {
        return failed("load");
    }
    info.size = sizeof(info);
    luup_model_get_info(model, &info);
    media_info.size = sizeof(media_info);
    if (luup_media_check(&media[0], &media_info) != LUUP_SUCCESS || luup_media_check(&media[0], NULL) != LUUP_SUCCESS) {
        return failed("check");
    }
    printf("%s %d x %d, sees %d, hears %d\n", media_info.format, media_info.width, media_info.height, info.sees,
           info.hears);
    if (luup_agent_create(model, NULL, &agent) != LUUP_SUCCESS) {
        return failed("agent");
    }
    luup_sampling_default_params(&sampling);
    sampling.temperature = 0;
    sampling.max_tokens  = 8;
    luup_run_default_params(&params);
    params.sampling = &sampling;
    params.media    = media;
    params.n_media  = 1;
    if (luup_agent_generate(agent, "Look what is this?", &params, &answer) != LUUP_SUCCESS) {
        return failed("generate");
    }
    printf("answer of %zu bytes\n", strlen(answer));
    if (luup_agent_get_history(agent, &text) != LUUP_SUCCESS) {
        return failed("history");
    }
    printf("%.90s\n", text);
    luup_string_free(text);
    luup_string_free(answer);

    /* A refused message leaves the history unchanged. */
    struct {
        luup_media   media;
        const char * message;
    } const wrong[] = {
        { { LUUP_MEDIA_IMAGE, picture, size, NULL, 99 }, "short" },
        { { LUUP_MEDIA_IMAGE, picture, size, "http://a/b", 0 }, "two" },
        { { LUUP_MEDIA_IMAGE, NULL, 5, NULL, 0 }, "null" },
        { { LUUP_MEDIA_IMAGE, NULL, 0, NULL, 0 }, "empty" },
        { { LUUP_MEDIA_AUDIO, picture, size, NULL, 0 }, "kind" },
        { { (luup_media_type) 7, picture, size, NULL, 0 }, "type" },
        { { LUUP_MEDIA_IMAGE, broken, broken_size, NULL, 0 }, "broken" },
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        params.media   = &wrong[i].media;
        const int code = luup_agent_generate(agent, wrong[i].message, &params, &answer);
        printf("%s: %s %s\n", wrong[i].message, luup_error_name(code), luup_last_error_message());
    }
    luup_agent_destroy(agent);
    luup_model_destroy(model);
    free(picture);
    free(broken);
    return 0;
}
