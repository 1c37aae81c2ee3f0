// The engine's completions in progress: active ones have a sequence, waiting ones do not.
#pragma once

#include "engine/completion.h"
#include "engine/drafts.h"
#include "engine/sampler.h"
#include "engine/sequence_pool.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace luup {

// Tokens that were guessed to follow, and how good the guesses were.
struct Drafting {
    PromptLookup             lookup;
    DraftRecord              record;
    DraftPolicy::Answer      of_model;  // the same of guesses that take time to make
    bool                     guessed = false; // by the draft model, or by the model's own heads
    std::vector<llama_token> tokens;  // in the batch, behind the token of row `Active::output`
};

// A completion with a sequence.
struct Active {
    Active(const Sampling & sampling, int32_t n_vocab) : sampler(sampling, n_vocab) {}

    std::shared_ptr<Completion> completion;
    Sequence *                  sequence = nullptr;  // nullptr once it has ended, and while it waits again
    std::vector<llama_token>    tokens;  // the prompt and the answer so far; the sequence holds a prefix of it
    Sampler                     sampler;
    Drafting                    draft;
    Metrics                     metrics;
    uint64_t                    order = 0;  // of admission
    size_t                      keep  = 0;  // at this many tokens the sequence is copied for other prompts; 0 = never
    std::vector<size_t>         marks;  // at these it gets a checkpoint, in ascending order
    size_t                      computed = 0;  // tokens that the sequence had when it was preempted

    struct {
        Clock::time_point admitted, first_token, last_token;
    } times;

    // The part of it that is in the batch.
    struct {
        int32_t tokens = 0;
        int32_t output = -1;  // index of the row to sample from; -1 = none
        int32_t first  = -1;  // index of the first token; -1 for a picture's vectors
    } batch;

    size_t pending() const { return tokens.size() - sequence->tokens.size(); }
    bool   decoding() const { return pending() == 1; }

    // Asks for a checkpoint at `length` tokens.
    void mark(size_t length) {
        const auto at = std::lower_bound(marks.begin(), marks.end(), length);
        if (at == marks.end() || *at != length) {
            marks.insert(at, length);
        }
    }

    bool is_marked(size_t length) const { return std::binary_search(marks.begin(), marks.end(), length); }

    // Returns how many of the tokens from `begin` on may be in one batch: something is copied between two decodes.
    size_t until_copy(size_t begin) const {
        const auto   next = std::upper_bound(marks.begin(), marks.end(), begin);
        const size_t mark = next == marks.end() ? SIZE_MAX : *next;
        return std::min(mark, keep > begin ? keep : SIZE_MAX) - begin;
    }

    AdapterSet adapters() const { return completion->key.adapters; }
};

// A completion without a sequence: a new one, or one that was preempted for room, with what it had already.
struct Waiting {
    std::shared_ptr<Completion> completion;
    std::unique_ptr<Active>     resumed;  // null for a new one
    uint64_t                    behind        = 0;  // `order` of an active one that computes a shared prefix; 0 = none
    size_t                      behind_tokens = 0;  // waits until that one has this many tokens

    const std::vector<llama_token> & tokens() const { return resumed ? resumed->tokens : completion->prompt; }
};

}  // namespace luup
