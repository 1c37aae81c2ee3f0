// A call that a server's model has to make: asked for as a typed result where it was not made as a call.
#pragma once

#include "answer.h"
#include "output.h"
#include "tools.h"

#include <memory>
#include <string>
#include <vector>

namespace luup {

// Servers differ in what they make of tool_choice: some let text come first, which a small model never ends, and some ignore it. What
// response_format asks for they hold their models to. So the tool is asked for first, if there are several, and then its arguments.
class ForcedCall {
  public:
    // `choice`: "required" or a tool's name.
    ForcedCall(std::shared_ptr<const ToolSet> tools, const std::string & choice);

    // The model made no call by itself.
    void insist() { insists_ = true; }
    bool insists() const { return insists_; }

    // What response_format has to ask for next; adds to the messages what the model has to know for it. Throws Error.
    std::shared_ptr<const OutputFormat> ask(std::vector<Message> & messages) const;

    // Takes the answer to ask(): makes a call of it, maybe one that can't be read. False if that was the tool's name, and the arguments are to be asked for.
    bool take(AnswerResult & answer);

  private:
    std::shared_ptr<const ToolSet> tools_;
    const Tool *                   tool_    = nullptr;  // one of tools_; null until it is known
    bool                           insists_ = false;
};

}  // namespace luup
