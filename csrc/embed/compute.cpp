// The calls of an embedder: they tokenize texts, and compute them batch by batch.
#include "embed/close_after.h"
#include "embed/embedder.h"
#include "embed/normalize.h"

#include "base/error.h"
#include "base/log.h"

#include <algorithm>
#include <cmath>

namespace luup {

std::string Embedder::name_of(const char * list, size_t index) {
    return std::string(list) + "[" + std::to_string(index) + "]";
}

void Embedder::embed(const std::vector<std::string> & texts, const luup_embed_params & params, float * vectors,
                     int32_t * n_tokens) {
    Call call(params, closing_, texts.size());
    begin();
    if (pooling_ == LLAMA_POOLING_TYPE_RANK) {
        fail(LUUP_ERROR_UNSUPPORTED, "%s is a model that ranks texts, and makes no vectors: use it to rerank",
             path_.c_str());
    }
    const CloseAfter          after(*this, closing_);
    const std::vector<Tokens> tokens = tokenize_each(
        call, texts.size(), [&](size_t i) { return limit_->tokenize(name_of("texts", i), texts[i], params.truncate); });
    const auto width = static_cast<size_t>(dimensions());
    compute(call, tokens, [&](size_t i, const float * numbers) {
        float * vector = vectors + i * width;
        std::copy_n(numbers, width, vector);
        if (params.normalize) {
            normalize(vector, width);
        }
    });
    for (size_t i = 0; n_tokens && i < tokens.size(); i++) {
        n_tokens[i] = static_cast<int32_t>(tokens[i].size());
    }
}

size_t Embedder::count_tokens(const std::string & text) {
    Call call({}, closing_, 1);
    begin();
    const FairLock::Hold hold(lock_, [&] { call.check(); });
    call.check();
    return limit_->count(text);
}

std::vector<Tokens> Embedder::tokenize_each(Call & call, size_t n_texts,
                                            const std::function<Tokens(size_t)> & tokenize) {
    constexpr size_t    at_once = 256;  // texts, before another call may go on
    std::vector<Tokens> tokens;
    tokens.reserve(n_texts);
    while (tokens.size() < n_texts) {
        const FairLock::Hold hold(lock_, [&] { call.check(); });
        for (const size_t last = std::min(n_texts, tokens.size() + at_once); tokens.size() < last;) {
            call.check();
            tokens.push_back(tokenize(tokens.size()));
        }
    }
    return tokens;
}

void Embedder::compute(Call & call, const std::vector<Tokens> & texts, const Take & take) {
    const auto width = static_cast<size_t>(pooling_ == LLAMA_POOLING_TYPE_RANK ? 1 : dimensions());
    for (size_t first = 0, alone = 0; first < texts.size();) {
        const FairLock::Hold hold(lock_, [&] { call.check(); });
        call.check();
        const size_t last = first < alone ? first + 1 : batch_end(texts, first);
        decode(call, texts, first, last);
        const auto numbers_of = [&](size_t i) {
            return llama_get_embeddings_seq(context_->get(), static_cast<llama_seq_id>(i - first));
        };
        const auto fails = [&](size_t i) {
            const float * numbers = numbers_of(i);
            return !numbers || !std::all_of(numbers, numbers + width, [](float x) { return std::isfinite(x); });
        };
        size_t bad = first;
        while (bad < last && !fails(bad)) {
            bad++;
        }
        if (bad < last && last - first > 1) {
            alone = last;  // a text that fails spoils the others of its batch: find it
            continue;
        }
        if (bad < last) {
            fail(
                LUUP_ERROR_INFERENCE_FAILED,
                "the model's result for text %zu is not a number: its weights are damaged, or too large for their type",
                bad);
        }
        for (size_t i = first; i < last; i++) {
            take(i, numbers_of(i));
        }
        call.add_done(last - first);
        first = last;
    }
}

size_t Embedder::batch_end(const std::vector<Tokens> & texts, size_t first) const {
    size_t       last   = first + 1;
    size_t       tokens = texts[first].size();
    const size_t most   = std::min(texts.size(), first + static_cast<size_t>(at_once_));
    while (last < most && tokens + texts[last].size() <= static_cast<size_t>(batch_size_)) {
        tokens += texts[last++].size();
    }
    return last;
}

void Embedder::decode(Call & call, const std::vector<Tokens> & texts, size_t first, size_t last) {
    llama_context * context = context_->get();
    if (llama_memory_t memory = llama_get_memory(context)) {
        llama_memory_clear(memory, false);
    }
    batch_.clear();
    for (size_t i = first; i < last; i++) {
        batch_.add(texts[i], static_cast<llama_seq_id>(i - first));
    }
    LogCapture log;
    current_ = &call;
    log_expect_errors(true);  // an aborted batch is one for llama.cpp
    const int32_t code = llama_decode(context, batch_.view());
    log_expect_errors(false);
    current_ = nullptr;

    const std::string lost = files_->lost();
    if (!lost.empty()) {
        fail(LUUP_ERROR_INFERENCE_FAILED, "%s became shorter while it was in use, or its disk failed", lost.c_str());
    }
    const std::string changed = files_->changed();
    if (!changed.empty()) {
        fail(
            LUUP_ERROR_INFERENCE_FAILED,
            "%s was changed while it was in use, so vectors would be wrong: load the model again (use_mmap=False makes "
            "it independent of the file)",
            changed.c_str());
    }
    if (code != 0) {
        call.check();
        fail(code == -2 ? LUUP_ERROR_OUT_OF_MEMORY : LUUP_ERROR_INFERENCE_FAILED,
             "a batch of %zu texts could not be computed (llama_decode: %d)%s%s", last - first, code,
             log.text().empty() ? "" : ": ", log.text().c_str());
    }
}

}  // namespace luup
