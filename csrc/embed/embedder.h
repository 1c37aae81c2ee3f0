// A model that makes vectors of texts, or scores them: a GGUF file with a context of its own.
#pragma once

#include "base/fair_lock.h"
#include "base/mapped_files.h"
#include "embed/call.h"
#include "embed/rank_prompt.h"
#include "embed/text_batch.h"
#include "embed/token_limit.h"
#include "engine/context.h"
#include "luup_agent.h"
#include "model/model.h"

#include "llama-cpp.h"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace luup {

// All methods may be called from any thread. Calls compute in the thread of the caller; they take turns, batch by
// batch, in the order in which they came.
class Embedder {
  public:
    // Loads a GGUF file. Throws Error.
    Embedder(const std::string & path, const luup_embedder_params & params);
    ~Embedder();
    Embedder(const Embedder &)             = delete;
    Embedder & operator=(const Embedder &) = delete;

    // Writes the vectors, one after the other, and the number of tokens of each text if `n_tokens` is not null. Throws
    // Error.
    void embed(const std::vector<std::string> & texts, const luup_embed_params & params, float * vectors,
               int32_t * n_tokens);

    // Writes a score of each document, the larger the better it answers the query: of a model that ranks its own, else
    // the cosine of the vectors. `n_tokens` (may be null) receives the tokens of the query, 0 if they are read with
    // each document, and those of the documents. Throws Error.
    void rerank(const std::string & query, const std::vector<std::string> & documents, const luup_embed_params & params,
                float * scores, int32_t * n_tokens);

    // Returns the number of tokens of a text, with those that begin and end it. Throws Error.
    size_t count_tokens(const std::string & text);

    // Ends the calls that are under way with LUUP_ERROR_CLOSED, and frees the memory. Idempotent.
    void close();

    luup_embedder_info info() const;
    int32_t            dimensions() const { return info_.numbers.embedding_size; }
    bool               forked() const { return generation_ != fork_generation(); }

    // Throws Error(LUUP_ERROR_FORKED) in a child process.
    void check_process() const;

  private:
    using Take = std::function<void(size_t, const float *)>;  // the index of a text, and the numbers that belong to it

    void                make_context(const luup_embedder_params & params);
    void                begin() const;
    std::vector<Tokens> tokenize_each(Call & call, size_t n_texts, const std::function<Tokens(size_t)> & tokenize);
    static std::string  name_of(const char * list, size_t index);
    void                compute(Call & call, const std::vector<Tokens> & texts, const Take & take);
    size_t              batch_end(const std::vector<Tokens> & texts, size_t first) const;
    void                decode(Call & call, const std::vector<Tokens> & texts, size_t first, size_t last);
    static bool         on_abort(void * self);

    const unsigned    generation_ = fork_generation();
    std::string       path_;
    ModelInfo         info_;
    std::atomic<bool> closing_{ false };
    FairLock          lock_;  // guards what follows

    // Freed from the last to the first.
    std::unique_ptr<MappedFiles>      files_;
    llama_model_ptr                   model_;
    std::unique_ptr<Context>          context_;
    std::unique_ptr<const TokenLimit> limit_;
    std::unique_ptr<const RankPrompt> rank_prompt_;  // of a model that ranks
    enum llama_pooling_type           pooling_    = LLAMA_POOLING_TYPE_UNSPECIFIED;
    int32_t                           batch_size_ = 0;  // tokens of short texts that are computed together
    int32_t                           at_once_    = 0;  // texts in a batch
    TextBatch                         batch_;
    Call *                            current_ = nullptr;
};

}  // namespace luup
