/* An embedder in four threads, with wrong arguments, and with progress functions that use, stop and close it. */
#include "luup_agent.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { TEXTS = 40, ROUNDS = 5, THREADS = 4, WIDTH = 32 };

static luup_embedder * embedder;
static char            texts_of[TEXTS][32];
static const char *    texts[TEXTS];
static float           expected[TEXTS * WIDTH];

static void * work(void * failed) {
    static const int all = 1;
    for (int round = 0; round < ROUNDS; round++) {
        float   vectors[TEXTS * WIDTH];
        int32_t n_tokens[TEXTS];
        if (luup_embedder_embed(embedder, texts, TEXTS, NULL, vectors, TEXTS * WIDTH, n_tokens) != LUUP_SUCCESS) {
            *(int *) failed = all;
            return NULL;
        }
        for (int i = 0; i < TEXTS * WIDTH; i++) {
            float difference = vectors[i] - expected[i];
            if (difference > 1e-3f || difference < -1e-3f)
                *(int *) failed = all;
        }
    }
    return NULL;
}

static bool use_again(size_t done, size_t total, void * code) {
    size_t n_tokens;
    (void) done;
    (void) total;
    *(int *) code = luup_embedder_count_tokens(embedder, "cat", &n_tokens);
    return true;
}

static bool stop(size_t done, size_t total, void * user_data) {
    (void) user_data;
    return done > total;
}

static bool close_it(size_t done, size_t total, void * user_data) {
    (void) done;
    (void) total;
    (void) user_data;
    return luup_embedder_close(embedder) == LUUP_SUCCESS;
}

int main(int argc, char ** argv) {
    const char *      two[] = { "cat", NULL };
    float             vector[WIDTH];
    pthread_t         threads[THREADS];
    int               failed[THREADS] = { 0 }, wrong = 0, inner = 0, code;
    luup_embed_params params;

    if (argc < 2 || luup_embedder_load(argv[1], NULL, &embedder) != LUUP_SUCCESS) {
        fprintf(stderr, "%s\n", luup_last_error_message());
        return 1;
    }
    for (int i = 0; i < TEXTS; i++) {
        snprintf(texts_of[i], sizeof(texts_of[i]), "cat %d sleeps", i);
        texts[i] = texts_of[i];
    }
    luup_embedder_embed(embedder, texts, 1, NULL, NULL, 0, NULL);
    puts(luup_last_error_message());
    luup_embedder_embed(embedder, two, 2, NULL, vector, WIDTH, NULL);
    puts(luup_last_error_message());
    luup_embedder_embed(embedder, texts, 2, NULL, vector, WIDTH, NULL);
    puts(luup_last_error_message());
    memset(&params, 0, sizeof(params));
    luup_embedder_embed(embedder, texts, 1, &params, vector, WIDTH, NULL);
    puts(luup_last_error_message());

    if (luup_embedder_embed(embedder, texts, TEXTS, NULL, expected, TEXTS * WIDTH, NULL) != LUUP_SUCCESS)
        return 1;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, &failed[i]);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        wrong += failed[i];
    }
    puts(wrong ? "threads differ" : "threads agree");

    luup_embed_default_params(&params);
    params.progress  = use_again;
    params.user_data = &inner;
    if (luup_embedder_embed(embedder, texts, 1, &params, vector, WIDTH, NULL) != LUUP_SUCCESS)
        return 1;
    printf("%s in its own progress function\n", luup_error_name(inner));
    params.progress = stop;
    code            = luup_embedder_embed(embedder, texts, 1, &params, vector, WIDTH, NULL);
    puts(luup_error_name(code));
    params.progress = close_it;
    code            = luup_embedder_embed(embedder, texts, 1, &params, vector, WIDTH, NULL);
    printf("%s by its own progress function\n", luup_error_name(code));
    code = luup_embedder_embed(embedder, texts, 1, NULL, vector, WIDTH, NULL);
    puts(luup_error_name(code));
    luup_embedder_destroy(embedder);
    return 0;
}
