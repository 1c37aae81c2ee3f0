// The tool calls of one turn, and their results.
#pragma once

#include "chat/message.h"
#include "chat/tools.h"

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace luup {

// Assigns each call an id that is unique in the conversation, and converts its arguments to the types of the tool's
// schema. `server_ids`: the ids that the conversation has already, where a server made the calls: it gets its own ids
// back, whatever their form. Without them a model wrote the ids, which its template may refuse. Arguments that need no
// conversion stay as the model wrote them.
void normalize_calls(std::vector<ToolCall> & calls, const ToolSet & tools,
                     const std::optional<std::set<std::string>> & server_ids);

// Returns the ids of all calls in the messages.
std::set<std::string> call_ids(const std::vector<Message> & messages);

// Invariant: every call has its own id and at most one result. A call that can't be made (no such tool, arguments that
// its schema refuses) has an error as its result from the beginning, for the model to read.
//
// Not locked by itself: call every method with the run's mutex held, or on a copy.
class PendingCalls {
  public:
    PendingCalls() = default;
    PendingCalls(const std::vector<ToolCall> & calls, const ToolSet & tools);

    // Whether a call without a result is one of a built-in tool.
    bool has_builtins(const ToolSet & tools) const;

    struct Result {
        size_t      index;  // for set_result()
        ToolCall    call;
        std::string text;
        bool        is_error;
    };

    // Calls the built-in tools, in order. This may wait for files: call it on a copy, without the run's mutex, and
    // never in the engine's thread.
    std::vector<Result> call_builtins(const ToolSet & tools) const;

    // The calls that can't be made, with the reasons; ask before any other call is answered.
    std::vector<Result> refused() const;

    bool waits_for(const std::string & id) const;
    bool complete() const;

    // Sets the result of a call. Returns false, and changes nothing, if no such call waits for one.
    bool answer(const std::string & id, const std::string & result);

    void set_result(size_t index, const std::string & result) { calls_.at(index).result = result; }

    // The calls without a result.
    std::vector<ToolCall> open() const;

    // The results as messages; `missing` replaces a missing one.
    std::vector<Message> messages(const std::optional<std::string> & missing = std::nullopt) const;

  private:
    struct Pending {
        ToolCall                   call;
        std::optional<std::string> result;
    };

    std::vector<Pending> calls_;
};

}  // namespace luup
