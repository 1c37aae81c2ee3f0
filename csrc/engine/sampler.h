// Chooses the next token from a row of logits.
#pragma once

#include "chat/reasoning.h"
#include "engine/adapters.h"
#include "engine/logit_bias.h"
#include "engine/logits.h"
#include "luup_agent.h"

#include "llama.h"

#include <deque>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

namespace luup {

class Constraint;

// The settings of luup_sampling_params, with copies of the texts.
struct Sampling {
    float                     temperature    = 0.7f;
    float                     top_p          = 0.95f;
    float                     min_p          = 0.05f;
    int32_t                   top_k          = 40;
    float                     repeat_penalty = 1.0f;
    int32_t                   repeat_last_n  = 64;
    uint32_t                  seed           = LUUP_SEED_RANDOM;
    int32_t                   max_tokens     = 512;
    bool                      jump_forward   = true;
    bool                      prompt_lookup  = true;
    std::vector<std::string>  stop;
    Reasoning                 reasoning;
    float                     presence_penalty  = 0;
    float                     frequency_penalty = 0;
    std::vector<LogitBias>    logit_bias;  // their texts have to be resolved before a Sampler is made
    std::vector<AdapterScale> adapters;
    bool                      logprobs = false;  // report the probabilities of the answer's tokens
    int32_t top_logprobs = 0;      // alternatives of each token that are reported; more than 0 implies logprobs

    bool wants_logprobs() const { return logprobs || top_logprobs > 0; }

    // Throws Error(LUUP_ERROR_INVALID_PARAM) for the first value that is out of its range.
    void check() const;
};

class Sampler {
  public:
    Sampler(const Sampling & sampling, int32_t vocabulary_size);

    // Returns the next token, one that `constraint` allows if there is one. `logits` has one value for each token of
    // the vocabulary, and is changed. The order of the steps is llama.cpp's: penalty, top-k, top-p, min-p, temperature.
    // Throws Error(LUUP_ERROR_INFERENCE_FAILED) if no logit is finite, or no token is allowed.
    llama_token sample(float * logits, const Constraint * constraint = nullptr);

    // Changes a row of logits by the biases, and by the penalties for tokens that the answer has already. Call it once
    // a row, before anything is decided by it.
    void adjust(float * logits) const;

    // Records a token of the prompt or of the answer, for the repeat penalty.
    void accept(llama_token token);

    // Records a token of the answer, or that it was retracted, for the penalties of presence and frequency.
    void count(llama_token token);
    void discount(llama_token token);

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
    void        list_allowed(const float * logits, const Constraint & constraint);
    bool        try_allowed(const float * logits, const Constraint & constraint, size_t k);
    void        rank(const float * row, size_t n, size_t k, const std::vector<llama_token> * tokens);
    void        normalize();
    double      weigh(float scale, double log_sum);
    size_t      count_kept(double total) const;
    bool        truncates() const { return sampling_.top_p < 1 || sampling_.min_p > 0; }
    llama_token draw(double share) const;
    llama_token draw_kept(double share);
    llama_token draw_of_some(double share, double least, double most);
    llama_token draw_of_all(const float * row, size_t n, double share, const std::vector<llama_token> * tokens,
                            const Constraint * constraint);
    llama_token sample_all(const float * logits, const Constraint * constraint);

    Sampling                sampling_;
    int32_t                 n_vocab_;
    std::mt19937            random_;
    std::deque<llama_token> recent_;

    std::unordered_map<llama_token, int32_t> counts_;  // of the tokens of the answer
    std::vector<Candidate>                   candidates_;  // kept between calls for its memory
    std::vector<llama_token>                 allowed_;     // the same
    std::vector<float>                       row_;         // the logits of these
    TopLogits                                top_;
};

}  // namespace luup
