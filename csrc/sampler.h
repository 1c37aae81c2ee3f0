// Picks the next token from a row of logits.
#pragma once

#include "luup_agent.h"

#include "llama.h"

#include <deque>
#include <random>
#include <string>
#include <vector>

namespace luup {

class Constraint;

// luup_sampling_params with memory of its own.
struct Sampling {
    float                    temperature    = 0.7f;
    float                    top_p          = 0.95f;
    float                    min_p          = 0.05f;
    int32_t                  top_k          = 40;
    float                    repeat_penalty = 1.0f;
    int32_t                  repeat_last_n  = 64;
    uint32_t                 seed           = LUUP_SEED_RANDOM;
    int32_t                  max_tokens     = 512;
    bool                     jump_forward   = true;
    bool                     prompt_lookup  = true;
    std::vector<std::string> stop;

    // Throws Error(LUUP_ERROR_INVALID_PARAM) that names the first value out of its range.
    void check() const;
};

class Sampler {
  public:
    Sampler(const Sampling & sampling, int32_t vocabulary_size);

    // The next token, of those that `constraint` allows if there is one. `logits` has one value for each token of the vocabulary and may be
    // changed. The order of the steps is llama.cpp's: penalty, top-k, top-p, min-p, temperature. Throws
    // Error(LUUP_ERROR_INFERENCE_FAILED) if no logit is finite, or no token is allowed.
    llama_token sample(float * logits, const Constraint * constraint = nullptr);

    // Tells that `token` follows: of the prompt, or sampled.
    void accept(llama_token token);

  private:
    struct Candidate {
        llama_token token;
        float       logit;
        float       p;
    };

    void        penalize(float * logits) const;
    llama_token likeliest(const float * logits) const;
    llama_token best_allowed(const float * logits, const Constraint & constraint);
    void        select(const float * logits, size_t k);
    void        keep_allowed(const Constraint & constraint);
    void        select_allowed(const float * logits, const Constraint & constraint);
    void        normalize();
    llama_token draw();

    Sampling                 sampling_;
    int32_t                  n_vocab_;
    std::mt19937             random_;
    std::deque<llama_token>  recent_;
    std::vector<Candidate>   candidates_;  // kept between calls for its memory
    std::vector<llama_token> allowed_;    // likewise
};

}  // namespace luup
