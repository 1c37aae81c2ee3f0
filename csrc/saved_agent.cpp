#include "saved_agent.h"

#include "error.h"
#include "state_file.h"

#include <nlohmann/json.hpp>

namespace luup {

namespace {

using json = nlohmann::ordered_json;

constexpr FileMagic magic = { 'l', 'u', 'u', 'p', 'a', 'g', 't', '\2' };

}  // namespace

void write_agent(const std::string & path, const SavedAgent & agent) {
    const std::string header = json({ { "system_prompt", agent.system_prompt },
                                      { "history", to_json(agent.history) },
                                      { "extra", agent.extra },
                                      { "key", agent.key } })
                                   .dump();
    write_state_file(path, magic, header, agent.sequence ? &*agent.sequence : nullptr);
}

SavedAgent read_agent(const std::string & path) {
    StateFile  file   = read_state_file(path, magic, "saved agent");
    const json values = json::parse(file.header, nullptr, false);
    SavedAgent agent;
    try {
        agent.system_prompt = values.at("system_prompt").get<std::string>();
        agent.history       = parse_messages(values.at("history").dump());
        agent.extra         = values.at("extra").get<std::string>();
        agent.key           = values.at("key").get<std::string>();
    } catch (const json::exception & e) {
        fail(LUUP_ERROR_IO, "%s is damaged: %s", path.c_str(), e.what());
    }
    agent.sequence = std::move(file.sequence);
    agent.damage   = std::move(file.damage);
    return agent;
}

}  // namespace luup
