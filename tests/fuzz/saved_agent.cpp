// A file of a saved agent. What can be read is written as it was read.
#include "agent/saved_agent.h"

#include "target.h"

#include <nlohmann/json.hpp>

using namespace luup;

FUZZ_TARGET() {
    const std::string & path  = write_file(input);
    const SavedAgent    agent = read_agent(path);
    write_agent(path, agent);
    const SavedAgent again = read_agent(path);
    MUST(again.system_prompt == agent.system_prompt && again.extra == agent.extra &&
         again.state.key == agent.state.key);
    MUST(to_json(again.history) == to_json(agent.history));
    MUST(again.state.sequence.has_value() == agent.state.sequence.has_value());
}
