// The KV state of an agent's conversation, as files keep it.
#pragma once

#include "engine/adapters.h"
#include "engine/stored_sequence.h"

#include <optional>
#include <string>
#include <vector>

namespace luup {

struct KvState {
    std::string key;  // names what the state depends on: the model's file, the template, the build, adapters
    std::vector<AdapterScale>     adapters;
    std::optional<StoredSequence> sequence;  // none: no state was kept
};

}  // namespace luup
