// A smaller model that guesses how answers go on.
#pragma once

#include "engine/batch.h"
#include "engine/context.h"
#include "engine/drafts.h"

#include "llama.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace luup {

// Belongs to the thread of the engine, whose sequences have the same numbers here.
class DraftModel {
  public:
    // Returns the parameters of its context, from those of the engine's context.
    static llama_context_params context_params(const llama_context_params & engine);

    // `model` must outlive it. Throws Error(LUUP_ERROR_OUT_OF_MEMORY).
    DraftModel(llama_model * model, const llama_context_params & params, int32_t threads, int32_t threads_batch);

    MemoryUse memory() const { return context_.memory(); }

    // Returns how many tokens of a text the draft model has not read yet.
    size_t unread(size_t sequence, const std::vector<llama_token> & text) const;

    // Reads at most a chunk of one text, so that others don't wait for long. Returns whether it has been read up to its
    // last token.
    bool read(size_t sequence, const std::vector<llama_token> & text);

    // Continues texts that were read. All are decoded together, the likeliest token each.
    void draft(const std::vector<DraftRequest> & requests);

    DraftCosts costs(size_t texts) const { return { times_.estimate(texts), read_seconds_ }; }

  private:
    size_t held(size_t sequence, const std::vector<llama_token> & text) const;
    bool   decode();
    void   start(size_t sequence, const std::vector<llama_token> & text);
    void   forget();

    Context                               context_;
    Batch                                 batch_;
    int32_t                               n_vocab_;
    llama_memory_t                        memory_;
    std::vector<std::vector<llama_token>> sequences_;  // the tokens that the context holds
    DecodeTimes                           times_;
    double                                read_seconds_ = 0;
};

}  // namespace luup
