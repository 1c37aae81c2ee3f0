#include "agent/saved_agent.h"

#include "base/json.h"
#include "base/error.h"
#include "engine/state_file.h"

#include <new>

namespace luup {

namespace {

using json = nlohmann::ordered_json;

constexpr FileMagic magic = { 'l', 'u', 'u', 'p', 'a', 'g', 't', '\2' };

}  // namespace

void write_agent(const std::string & path, const SavedAgent & agent) {
    json adapters = json::object();
    for (const AdapterScale & each : agent.adapters) {
        adapters[each.name] = each.scale;
    }
    const std::string header = json({ { "system_prompt", agent.system_prompt },
                                      { "history", to_json(agent.history) },
                                      { "extra", agent.extra },
                                      { "key", agent.key },
                                      { "adapters", std::move(adapters) } })
                                   .dump();
    write_state_file(path, magic, header, agent.sequence ? &*agent.sequence : nullptr);
}

SavedAgent read_agent(const std::string & path) {
    StateFile  file = read_state_file(path, magic, "saved agent");
    SavedAgent agent;
    try {
        const json values   = read_json(file.header, "its header");
        agent.system_prompt = values.at("system_prompt").get<std::string>();
        agent.history       = parse_messages(values.at("history").dump());
        agent.extra         = values.at("extra").get<std::string>();
        agent.key           = values.at("key").get<std::string>();
        const json adapters = values.value("adapters", json::object());
        for (const auto & [name, scale] : adapters.items()) {
            agent.adapters.push_back({ name, scale.get<float>() });
        }
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception & e) {
        fail(LUUP_ERROR_IO, "%s is damaged: %s", path.c_str(), e.what());
    }
    agent.sequence = std::move(file.sequence);
    agent.damage   = std::move(file.damage);
    return agent;
}

}  // namespace luup
