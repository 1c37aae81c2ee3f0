// Speculative decoding: guesses how an answer goes on, and estimates whether checking the guess pays.
#pragma once

#include "llama.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace luup {

// Prompt-lookup drafts: answers quote their prompts, so a text that repeats a few tokens may go on as it did before.
class PromptLookup {
  public:
    // Sets `draft` to the tokens, `limit` at most, that followed the last occurrence of the tokens at the end of
    // `tokens`; to nothing if there is none. Only reads the new tokens if `tokens` has grown since the last call.
    void draft(const std::vector<llama_token> & tokens, size_t limit, std::vector<llama_token> & draft);

  private:
    static uint64_t key(const llama_token * last);

    std::unordered_map<uint64_t, size_t> after_;  // the index behind each n-gram's last occurrence, by its key()
    std::vector<llama_token>             seen_;   // the tokens that are in after_
};

// How long a decode takes here, by its number of tokens; learnt from the decodes so far. A time counts less the longer
// ago it was measured: a decode that a busy machine interrupted must not end the drafts for good.
class DecodeTimes {
  public:
    static constexpr size_t largest = 64;

    void record(size_t tokens, double seconds);

    // Returns the seconds that a decode of `tokens` tokens takes; 0 while nothing is known. Optimistic for more tokens
    // than were ever decoded.
    double estimate(size_t tokens) const;

  private:
    double known(size_t tokens) const;

    std::array<double, largest + 1> seconds_ = {};  // 0 = unknown
    std::array<double, largest + 1> trust_   = {};  // 1 = just measured
};

// How often the drafted tokens of one answer were right.
class DraftRecord {
  public:
    static constexpr double likely = 0.6;

    // `right`: the probability that the next drafted token is right, as far as it is known.
    explicit DraftRecord(double right = likely) : right_(right) {}

    double right() const { return right_; }

    // The first `accepted` of `offered` tokens were right.
    void record(size_t accepted, size_t offered);

    // Returns how many of `available` drafted tokens it pays to check when `others` tokens are decoded together with
    // this answer's next one. Drafting a token takes `each` seconds. `saved` (may be null) is set to the part of
    // the time that is saved.
    size_t worth(size_t available, size_t others, const DecodeTimes & times, double each = 0, double * saved = nullptr);

  private:
    double right_;
};

// A text that is to be continued by up to `limit` tokens.
struct DraftRequest {
    size_t                           sequence;
    const std::vector<llama_token> * text;  // not empty
    size_t                           limit;
    std::vector<llama_token> *       draft;  // is set, to nothing if there is no guess
};

// Seconds that it takes to guess one token of each of several texts, and to read one token; 0 while unknown.
struct DraftCosts {
    double guess = 0;
    double read  = 0;
};

// Decides when guesses that take time to make pay: by how often they were right, in all answers and in this one, and by
// the times that decodes take here.
class DraftPolicy {
  public:
    // The record of one answer.
    struct Answer {
        DraftRecord record;
        bool        begun = false;  // its text was read once
    };

    // Begins an answer with what earlier ones have shown.
    Answer begin() const { return { DraftRecord(right_), false }; }

    // An answer of `tokens` tokens has ended.
    void end(const Answer & answer, size_t tokens);

    // Returns how many tokens it pays to guess, at most `limit`, for one of `texts` answers whose next tokens are
    // decoded together with `others` other tokens. 0 if reading `unread` tokens before would take longer than an answer
    // that has `answered` tokens is likely to save.
    size_t worth(Answer & answer, size_t limit, size_t others, size_t texts, size_t answered, size_t unread,
                 const DraftCosts & costs, const DecodeTimes & times) const;

    // Whether guesses for a new answer are likely to pay, or it is unknown.
    bool hopes(size_t limit, const DraftCosts & costs, const DecodeTimes & times) const;

  private:
    double right_  = DraftRecord::likely;  // of the answers that ended last
    double length_ = 100;                  // the same: their tokens
};

}  // namespace luup
