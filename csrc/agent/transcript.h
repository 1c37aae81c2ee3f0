// The messages of a run: the conversation that it continues, and what it has added.
#pragma once

#include "chat/message.h"

#include <string>
#include <vector>

namespace luup {

// Not locked by itself. `base` belongs to the thread that begins a turn; the rest changes only under the run's mutex
// and, but for `last`, never while a turn is being begun, so that thread may read it without the mutex.
struct Transcript {
    std::vector<Message>  base;      // before the run, the system prompt first; a summary shortens it
    std::vector<Message>  added;     // by this run: enters the history if the run succeeds
    std::vector<Message>  last;      // of a run that has failed: what its `added` lack for a history to go on from
    std::vector<ToolCall> calls;     // of the model, in all turns

    // All messages, as the model reads them, without an answer that was rejected.
    std::vector<Message> prompt() const;

    // The messages that this run has added, `last` included.
    std::vector<Message> all_added() const;

    // `base` without the system prompt.
    std::vector<Message> history() const;

    // Where the history begins in `base`: 1 behind a system prompt, else 0.
    size_t history_begin() const { return !base.empty() && base.front().role == "system" ? 1 : 0; }

    // The calls since the user's last message: of this run, and of the history if the run only continues that.
    std::vector<ToolCall> calls_since_question() const;

    // The text of the user and the tools, which the arguments of calls are compared with.
    std::string said() const;
};

}  // namespace luup
