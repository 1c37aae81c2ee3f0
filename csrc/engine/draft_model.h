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

    // A text that is to be continued by up to `limit` tokens.
    struct Request {
        size_t                           sequence;
        const std::vector<llama_token> * text;  // not empty
        size_t                           limit;
        std::vector<llama_token> *       draft;  // is set, to nothing if there is no guess
    };

    // Returns how many tokens of a text the draft model has not read yet.
    size_t unread(size_t sequence, const std::vector<llama_token> & text) const;

    // Reads at most a chunk of one text, so that others don't wait for long. Returns whether it has been read up to its
    // last token.
    bool read(size_t sequence, const std::vector<llama_token> & text);

    // Continues texts that were read. All are decoded together, the likeliest token each.
    void draft(const std::vector<Request> & requests);

    // Returns the seconds that it takes to guess one token of each of `texts` texts, and to read one token; 0 while
    // unknown.
    double draft_seconds(size_t texts) const { return times_.estimate(texts); }
    double read_seconds() const { return read_seconds_; }

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

// Decides when the guesses of a draft model pay: by how often they were right, in all answers and in this one, and by
// the times that decodes take here.
class DraftPolicy {
  public:
    // The record of one answer.
    struct Answer {
        DraftRecord record;
        bool        begun = false;  // the draft model has read its text once
    };

    // Begins an answer with what earlier ones have shown.
    Answer begin() const { return { DraftRecord(right_), false }; }

    // An answer of `tokens` tokens has ended.
    void end(const Answer & answer, size_t tokens);

    // Returns how many tokens it pays to guess, at most `limit`, for one of `texts` answers whose next tokens are
    // decoded together with `others` other tokens. 0 if reading `unread` tokens before would take longer than an answer
    // that has `answered` tokens is likely to save.
    size_t worth(Answer & answer, size_t limit, size_t others, size_t texts, size_t answered, size_t unread,
                 const DraftModel & model, const DecodeTimes & times) const;

  private:
    double right_  = DraftRecord::likely;  // of the answers that ended last
    double length_ = 100;                  // the same: their tokens
};

}  // namespace luup
