// Makes a remote model call a tool: if it makes no call, its arguments are requested as a typed result.
#pragma once

#include "answer/answer.h"
#include "answer/output.h"
#include "chat/tools.h"

#include <memory>
#include <string>
#include <vector>

namespace luup {

// Servers differ in how they implement tool_choice: some allow text first, which a small model never ends, and some
// ignore it. But they do enforce response_format. So the name of the tool is requested first, if there are several, and
// then its arguments.
class ForcedCall {
  public:
    // `choice`: "required" or a tool's name.
    ForcedCall(std::shared_ptr<const ToolSet> tools, const std::string & choice);

    // Starts with the requests: the model made no call by itself.
    void insist() { insists_ = true; }
    bool insists() const { return insists_; }

    // Returns what response_format has to request next, and append the question to the messages. Throws Error.
    std::shared_ptr<const OutputFormat> ask(std::vector<Message> & messages) const;

    // Takes the answer to ask(), and turns it into a call, maybe one with a `problem`. False if it was the tool's name,
    // and ask() has to request the arguments next.
    bool take(AnswerResult & answer);

  private:
    std::shared_ptr<const ToolSet> tools_;
    const Tool *                   tool_    = nullptr;  // one of tools_; null while the model has not named it
    bool                           insists_ = false;
};

}  // namespace luup
