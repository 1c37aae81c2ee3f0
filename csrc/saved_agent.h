// The file that an agent is saved to: what it said, and its part of the context.
#pragma once

#include "message.h"
#include "warm_store.h"

#include <optional>
#include <string>
#include <vector>

namespace luup {

struct SavedAgent {
    std::string                   system_prompt;
    std::vector<Message>          history;
    std::string                   extra;  // the caller's own text
    std::string                   key;    // what the part of the context depends on: the model's file, the template, the build
    std::optional<StoredSequence> sequence;
    std::string                   damage;  // why there is no sequence although there was one; "" if there is nothing to say
};

// Writes through a file beside it, so that `path` has the old content or the new one. Throws Error(LUUP_ERROR_IO).
void write_agent(const std::string & path, const SavedAgent & agent);

// A damaged part of the context is told in `damage`; what was said has to be whole. Throws Error(LUUP_ERROR_IO) if the file can't be read
// or is none that write_agent() wrote.
SavedAgent read_agent(const std::string & path);

}  // namespace luup
