// Which messages a summary may replace, and the steps in which it is written.
#pragma once

#include "chat/message.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace luup {

// How many of the first messages of `history` a summary may replace, in rising order. What is kept begins with a user's
// message, so calls and their results stay together. The first number leaves at least `keep` of the messages, if one
// does. `all`: the whole history may be replaced.
std::vector<size_t> possible_cuts(const std::vector<Message> & history, float keep, bool all);

// The messages that replace the old ones in the history.
std::vector<Message> summary_messages(const std::string & summary);

// Writes one summary in as many steps as the model's context needs for the old messages.
class Summarizer {
  public:
    // `context`: the model's, in tokens. `count` counts the tokens of a text; what it throws is passed on.
    Summarizer(std::vector<Message> old, int32_t context,
               const std::function<size_t(const std::string & text)> & count);

    // The next prompt for the model, and the longest answer in tokens.
    std::vector<Message> prompt() const;
    int32_t              max_tokens() const { return max_tokens_; }

    // Takes the answer to prompt(). Returns false, and stays at the same step, if it is blank.
    bool take(const std::string & summary);

    // Takes a complete summary that the host wrote.
    void set_summary(const std::string & summary);

    // Whether summary() is complete.
    bool                done() const { return next_ == pieces_.size(); }
    const std::string & summary() const { return summary_; }

    const std::vector<Message> & old() const { return old_; }

    // The longest answer of a step, in tokens, with such a context.
    static int32_t room_for_summary(int32_t context);

  private:
    std::vector<Message>     old_;
    int32_t                  max_tokens_;
    std::vector<std::string> pieces_;    // of the conversation as text: one for each step
    size_t                   next_ = 0;  // the piece that is summarized next
    std::string              summary_;   // of the pieces before
};

}  // namespace luup
