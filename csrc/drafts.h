// Guesses at what an answer will say next, and whether it pays to check them.
#pragma once

#include "llama.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace luup {

// Prompt-lookup drafts: where a text repeats its last few tokens, it may go on as it did before. Answers quote their prompts.
class PromptLookup {
  public:
    // What followed when the last tokens of `tokens` stood there before, at most `limit` tokens; nothing if they did not. Quick where `tokens` is
    // what it was the last time, with some more.
    void draft(const std::vector<llama_token> & tokens, size_t limit, std::vector<llama_token> & draft);

  private:
    static uint64_t key(const llama_token * last);

    std::unordered_map<uint64_t, size_t> after_;        // of so many tokens in a row, where what follows them begins
    std::vector<llama_token>             seen_;         // those that after_ knows
};

// How long a decode of so many tokens takes here, learnt from those that were made.
class DecodeTimes {
  public:
    static constexpr size_t largest = 64;

    void record(size_t tokens, double seconds);

    // For more tokens than ever were decoded it is optimistic. 0 as long as nothing is known.
    double estimate(size_t tokens) const;

  private:
    std::array<double, largest + 1> seconds_ = {};  // 0 = not known
};

// How many drafted tokens were right, of one answer.
class DraftRecord {
  public:
    // The first `accepted` of `offered` tokens were right.
    void record(size_t accepted, size_t offered);

    // How many of `available` drafted tokens it pays to check when `others` tokens are decoded with this answer's next one; 0 if none.
    size_t worth(size_t available, size_t others, const DecodeTimes & times);

  private:
    static constexpr double likely = 0.6;

    double right_ = likely;  // how likely the next drafted token is right
};

}  // namespace luup
