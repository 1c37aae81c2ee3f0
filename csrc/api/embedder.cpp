// The C API: embedders.
#include "api/api.h"

using namespace luup;

namespace {

luup_embedder_params read_embedder_params(const luup_embedder_params * params) {
    const luup_embedder_params p = read_params("params", params, luup_embedder_default_params);
    if (p.n_devices > 0) {
        check_pointer("devices", p.devices);
    }
    if (p.n_devices > llama_max_devices()) {
        fail(LUUP_ERROR_INVALID_PARAM, "devices has more than %zu entries", llama_max_devices());
    }
    checked_texts("devices", p.devices, p.n_devices);
    optional_text("weights_cache", p.weights_cache);
    return p;
}

}  // namespace

void luup_embedder_default_params(luup_embedder_params * params) {
    if (params) {
        *params              = {};
        params->size         = sizeof(*params);
        params->gpu_layers   = -1;
        params->context_size = LUUP_CONTEXT_SIZE_DEFAULT;
        params->batch_size   = 512;
        params->pooling      = LUUP_POOLING_DEFAULT;
        params->use_mmap     = true;

        params->weights_cache_size = LUUP_WEIGHTS_CACHE_SIZE_DEFAULT;
    }
}

void luup_embed_default_params(luup_embed_params * params) {
    if (params) {
        *params           = {};
        params->size      = sizeof(*params);
        params->normalize = true;
    }
}

int luup_embedder_load(const char * path, const luup_embedder_params * params, luup_embedder ** embedder) {
    return guard([&] {
        check_pointer("embedder", embedder);
        const std::string file = checked_text("path", path);
        *embedder              = new luup_embedder{ std::make_shared<Embedder>(file, read_embedder_params(params)) };
    });
}

int luup_embedder_get_info(const luup_embedder * embedder, luup_embedder_info * info) {
    return guard([&] {
        check_pointer("embedder", embedder);
        embedder->embedder->check_process();
        write_result("info", info, embedder->embedder->info());
    });
}

int luup_embedder_count_tokens(luup_embedder * embedder, const char * text, size_t * n_tokens) {
    return guard([&] {
        check_pointer("embedder", embedder);
        check_pointer("n_tokens", n_tokens);
        *n_tokens = embedder->embedder->count_tokens(checked_text("text", text));
    });
}

int luup_embedder_embed(luup_embedder * embedder, const char * const * texts, size_t n_texts,
                        const luup_embed_params * params, float * vectors, size_t capacity, int32_t * n_tokens) {
    return guard([&] {
        check_pointer("embedder", embedder);
        const luup_embed_params        p     = read_params("params", params, luup_embed_default_params);
        const std::vector<std::string> all   = checked_texts("texts", texts, n_texts);
        const auto                     width = static_cast<size_t>(embedder->embedder->dimensions());
        if (n_texts > 0) {
            check_pointer("vectors", vectors);
        }
        if (capacity / width < n_texts) {
            fail(LUUP_ERROR_INVALID_PARAM, "capacity is %zu, but %zu vectors have %zu numbers each", capacity, n_texts,
                 width);
        }
        embedder->embedder->embed(all, p, vectors, n_tokens);
    });
}

int luup_embedder_rerank(luup_embedder * embedder, const char * query, const char * const * documents,
                         size_t n_documents, const luup_embed_params * params, float * scores, int32_t * n_tokens) {
    return guard([&] {
        check_pointer("embedder", embedder);
        const luup_embed_params        p     = read_params("params", params, luup_embed_default_params);
        const std::string              asked = checked_text("query", query);
        const std::vector<std::string> all   = checked_texts("documents", documents, n_documents);
        if (n_documents > 0) {
            check_pointer("scores", scores);
        }
        embedder->embedder->rerank(asked, all, p, scores, n_tokens);
    });
}

int luup_embedder_close(luup_embedder * embedder) {
    return guard([&] {
        check_pointer("embedder", embedder);
        embedder->embedder->close();
    });
}

void luup_embedder_destroy(luup_embedder * embedder) {
    if (embedder) {
        guard([&] {
            if (!embedder->embedder->forked()) {
                embedder->embedder->close();
            }
        });
        delete embedder;
    }
}
