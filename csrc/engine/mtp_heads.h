// The heads of a model that guess the tokens behind the next one (multi-token prediction, MTP).
#pragma once

#include "engine/batch.h"
#include "engine/context.h"
#include "engine/drafts.h"

#include "llama.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace luup {

// A head is a layer behind those of the model. From the hidden row that a decode of the model leaves for a token, and
// the token that follows, it guesses the one behind that. It attends to the pairs of tokens and rows that it has read,
// which are in a KV cache of its own. Rows exist only for what this model decoded while somebody looked, not for what
// came from another cache: a head then knows the end of a text alone, and guesses worse. Guesses are checked, so that
// never changes an answer.
//
// Belongs to the thread of the engine, whose sequences have the same numbers here.
class MtpHeads {
  public:
    // Returns the parameters of the heads' context, from those of the engine's context.
    static llama_context_params context_params(const llama_context_params & engine);

    // Both must outlive it. Throws Error.
    MtpHeads(llama_model * model, llama_context * engine, const llama_context_params & params, int32_t threads,
             int32_t threads_batch);

    // The weights are those of the model.
    MemoryUse memory() const;

    // Whether the engine's next decodes leave rows. It costs them a little time.
    void look(bool rows);
    bool looks() const { return looks_; }

    // The engine decoded `n` tokens of `text` from `begin` on into a sequence, whose first one is at `position`. They
    // begin at `row` of its batch.
    struct Decoded {
        size_t                           sequence;
        const std::vector<llama_token> * text;
        size_t                           begin, n;
        llama_pos                        position;
        int32_t                          row;
    };

    // Keeps the rows of decoded tokens. Call it before the engine decodes again.
    void keep(const Decoded & decoded);

    // Reads pairs where many have come together. Call it after keep() was called for all of a batch.
    void read();

    // Whether the row of the last token but one is known, so that draft() can guess.
    bool knows(size_t sequence, const std::vector<llama_token> & text) const;

    // Continues texts, of which the engine has decoded all but the last token: the likeliest tokens. All are decoded
    // together.
    void draft(const std::vector<DraftRequest> & requests);

    DraftCosts costs(size_t texts) const { return { times_.estimate(texts), 0 }; }

  private:
    // The known part of a sequence. Pair i has the token `text[i]` and the row of token i - 1.
    struct Known {
        std::vector<llama_token> text;
        size_t                   rows_end = 0;  // tokens whose rows were kept, or were read
        size_t                   first = 0, read = 0;  // the context has the pairs from `first` to `read`
        size_t                   rows_begin = 0;       // of `rows`
        std::vector<float>       rows;                 // of the tokens from `rows_begin` to `rows_end`
        llama_pos                offset = 0;           // of positions from indices, behind the last picture

        size_t unread() const { return rows_end > read ? rows_end - read : 0; }
    };

    void cut(size_t sequence, size_t length);
    void begin(size_t sequence, const Decoded & decoded);
    void clear(size_t sequence);
    void forget();
    void trim(Known & known);
    void add(size_t sequence, llama_token token, size_t index, const float * row, bool output);
    void drop_others();
    bool decode();
    bool flush(size_t sequence);

    llama_context *    engine_;
    Context            context_;
    Batch              batch_;
    std::vector<float> inputs_;  // the rows of the batch
    size_t             width_;   // of a row
    int32_t            n_vocab_;
    llama_memory_t     memory_;
    bool               looks_ = false;
    std::vector<Known> known_;  // of each sequence
    DecodeTimes        times_;
};

}  // namespace luup
