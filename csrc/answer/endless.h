// Notices a bound answer that would never end, although its grammar allows every token of it.
#pragma once

#include "base/json.h"
#include "llama.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace luup {

// Strings, lists and numbers are as long as their schema allows, so a small model may repeat itself without end. Two
// things are taken as endless:
//
//  - The last `least_tokens` tokens, and at least `least_repeats` periods, repeat the same tokens, and after each of
//    them the grammar is at the same place. That place is the same only where the schema sets no limit: of a list that
//    must have 10,000 items, all may be zeros. A table, a hundred equal numbers or a kilobyte of zeros in base64 have
//    fewer tokens.
//  - Arrays and objects are open inside each other, more than `most_nested` of them: readers of JSON refuse those.
class EndlessWatch {
  public:
    static constexpr size_t least_tokens   = 1024;
    static constexpr size_t least_repeats  = 8;
    static constexpr size_t longest_period = 512;  // tokens
    static constexpr size_t most_nested    = 128;

    // Adds a token, with the place in the grammar after it.
    void add(llama_token token, uint64_t place);

    // Reads the text of the tokens, in pieces of any size.
    void read(std::string_view text);

    // Returns why the answer is endless, "" if it is not.
    std::string reason() const;

  private:
    using Entry = std::pair<llama_token, uint64_t>;

    std::vector<Entry>                       last_;    // a ring of the last tokens with their places
    std::array<uint32_t, longest_period + 1> equal_{};  // by period: how many of the last tokens equal those before
    size_t                                   n_      = 0;  // tokens so far
    size_t                                   period_ = 0;  // of the repetition that was found
    JsonBrackets                             brackets_;
    size_t                                   deepest_ = 0;
};

}  // namespace luup
