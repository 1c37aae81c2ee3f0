// The file that an agent is saved to: its history and its KV state.
#pragma once

#include "chat/message.h"
#include "model/kv_state.h"

#include <string>
#include <vector>

namespace luup {

struct SavedAgent {
    std::string          system_prompt;
    std::vector<Message> history;
    std::string          extra;  // a text of the caller
    KvState              state;
    std::string          damage;  // why the file's KV state could not be read; "" if it could, or if it has none
};

// Replaces the file atomically. Throws Error(LUUP_ERROR_IO).
void write_agent(const std::string & path, const SavedAgent & agent);

// Throws Error(LUUP_ERROR_IO) if the file can't be read, is not one of write_agent(), or its history is damaged. A
// damaged KV state is only reported in `damage`.
SavedAgent read_agent(const std::string & path);

// Do the same for a KV state alone, in a file of another kind. A damaged KV state is an Error, too.
void    write_state(const std::string & path, const KvState & state);
KvState read_state(const std::string & path);

}  // namespace luup
