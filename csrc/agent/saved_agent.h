// The file that an agent is saved to: its history and its KV state.
#pragma once

#include "chat/message.h"
#include "engine/sequence_store.h"

#include <optional>
#include <string>
#include <vector>

namespace luup {

struct SavedAgent {
    std::string               system_prompt;
    std::vector<Message>      history;
    std::string               extra;  // a text of the caller's
    std::string               key;  // of the KV state: it names the model's file, the template, the build and adapters
    std::vector<AdapterScale> adapters;  // of the KV state

    std::optional<StoredSequence> sequence;  // the KV state
    std::string damage;  // why the file's KV state could not be read; "" if it could, or if it has none
};

// Replaces the file atomically. Throws Error(LUUP_ERROR_IO).
void write_agent(const std::string & path, const SavedAgent & agent);

// The KV state of a conversation without the conversation.
struct SavedState {
    std::string               key;  // as that of SavedAgent
    std::vector<AdapterScale> adapters;  // of the KV state
    StoredSequence            sequence;
};

// Like write_agent() and read_agent(), in a file of another kind. A damaged KV state is an Error, too.
void       write_state(const std::string & path, const SavedState & state);
SavedState read_state(const std::string & path);

// Throws Error(LUUP_ERROR_IO) if the file can't be read, is not one of write_agent(), or its history is damaged. A
// damaged KV state is only reported in `damage`.
SavedAgent read_agent(const std::string & path);

}  // namespace luup
