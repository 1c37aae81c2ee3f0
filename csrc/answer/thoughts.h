// The model's thoughts in an answer: where they begin, and when they end.
#pragma once

#include "answer/plan.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace luup {

class Thoughts {
  public:
    // `plan` must outlive this object.
    explicit Thoughts(const ThinkingPlan & plan) : plan_(plan) {}

    // The thoughts begin at byte `at` of the answer's text.
    void begin_at(size_t at) { begin_ = at; }

    // Where they begin; 0 if there are none.
    size_t begin() const { return begin_; }

    bool empty() const { return tokens_ == 0 && dictated_ == 0; }

    // Their tokens, those of the markers included.
    int32_t tokens() const { return tokens_ + dictated_; }

    // Adds tokens that were not the model's choice.
    void add_dictated(size_t n) { dictated_ += static_cast<int32_t>(n); }

    // Whether an answer that is `text` may go on with thoughts that begin with `more`.
    bool may_begin(const std::string & text, const std::string & more) const;

    // Whether the thoughts are begun in `text` and may not go on: the limit is reached.
    bool must_end(const std::string & text) const;

    // Whether the marker that begins the thoughts is complete in `text`.
    bool begun(const std::string & text) const;

    enum class Next {
        GoOn,
        NotThoughts,  // what began like thoughts goes on as something else
        Ended,        // the model wrote an end marker
        MustEnd       // the end has to be written for the model: it ended its answer, or reached the limit
    };

    // Counts one more token, the last of `text`. `answer_ends`: the token ends the answer.
    Next add_token(const std::string & text, bool answer_ends);

  private:
    bool strays(const std::string & text) const;

    const ThinkingPlan & plan_;
    size_t               begin_    = 0;
    int32_t              tokens_   = 0;
    int32_t              dictated_ = 0;
};

}  // namespace luup
