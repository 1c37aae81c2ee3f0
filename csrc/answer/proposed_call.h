// Tool calls that are proposed while they are written, and accepted or retracted once they are complete.
#pragma once

#include "answer/call_judge.h"
#include "chat/message.h"

#include <cstddef>
#include <string>
#include <vector>

namespace luup {

// A call in progress.
struct ProposedCall {
    enum class AcceptIf {
        Meant,    // the judge finds that the model means it, and it was not made before
        New,      // it was not made before: the model began it with the format's own marker
        Complete  // in any case: a call has to be made
    };

    CallJudge judge;
    AcceptIf  accept_if;
    bool      first;  // no call of this answer is accepted yet
};

// The accepted calls of one answer.
class AcceptedCalls {
  public:
    // `made`: earlier calls of the same run. A call that repeats one of them is not accepted: small models repeat
    // themselves.
    explicit AcceptedCalls(std::vector<ToolCall> made) : made_(std::move(made)) {}

    // Decides on the proposed call, which is complete. `parsed` are all calls in the answer's `text`; the proposed one
    // is the first of them that is new. Returns whether it is accepted.
    bool add(const std::vector<ToolCall> & parsed, const std::string & text, ProposedCall & proposed);

    void clear() { calls_.clear(); }

    const std::vector<ToolCall> & calls() const { return calls_; }

  private:
    const std::vector<ToolCall> made_;
    std::vector<ToolCall>       calls_;
    size_t                      parsed_ = 0;  // calls in the text, accepted or not
};

}  // namespace luup
