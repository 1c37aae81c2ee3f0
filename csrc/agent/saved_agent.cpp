#include "agent/saved_agent.h"

#include "base/json.h"
#include "base/error.h"
#include "engine/state_file.h"

#include <new>

namespace luup {

namespace {

using json = nlohmann::ordered_json;

constexpr FileMagic magic       = { 'l', 'u', 'u', 'p', 'a', 'g', 't', '\2' };
constexpr FileMagic state_magic = { 'l', 'u', 'u', 'p', 'k', 'v', 's', '\1' };

json adapters_json(const std::vector<AdapterScale> & adapters) {
    json result = json::object();
    for (const AdapterScale & each : adapters) {
        result[each.name] = each.scale;
    }
    return result;
}

std::vector<AdapterScale> read_adapters(const json & values) {
    std::vector<AdapterScale> result;
    const json                adapters = values.value("adapters", json::object());
    for (const auto & [name, scale] : adapters.items()) {
        result.push_back({ name, scale.get<float>() });
    }
    return result;
}

// Calls `read` with the values of a file's header. Throws Error(LUUP_ERROR_IO) if they are wrong.
template <typename Read> void read_header(const std::string & path, const std::string & header, Read read) {
    try {
        read(read_json(header, "its header"));
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception & e) {
        fail(LUUP_ERROR_IO, "%s is damaged: %s", path.c_str(), e.what());
    }
}

}  // namespace

void write_agent(const std::string & path, const SavedAgent & agent) {
    const std::string header = json({ { "system_prompt", agent.system_prompt },
                                      { "history", to_json(agent.history) },
                                      { "extra", agent.extra },
                                      { "key", agent.state.key },
                                      { "adapters", adapters_json(agent.state.adapters) } })
                                   .dump();
    write_state_file(path, magic, header, agent.state.sequence ? &*agent.state.sequence : nullptr);
}

SavedAgent read_agent(const std::string & path) {
    StateFile  file = read_state_file(path, magic, "saved agent");
    SavedAgent agent;
    read_header(path, file.header, [&](const json & values) {
        agent.system_prompt  = values.at("system_prompt").get<std::string>();
        agent.history        = parse_messages(values.at("history").dump());
        agent.extra          = values.at("extra").get<std::string>();
        agent.state.key      = values.at("key").get<std::string>();
        agent.state.adapters = read_adapters(values);
    });
    agent.state.sequence = std::move(file.sequence);
    agent.damage         = std::move(file.damage);
    return agent;
}

void write_state(const std::string & path, const KvState & state) {
    const std::string header = json({ { "key", state.key }, { "adapters", adapters_json(state.adapters) } }).dump();
    write_state_file(path, state_magic, header, &*state.sequence);
}

KvState read_state(const std::string & path) {
    StateFile file = read_state_file(path, state_magic, "saved KV state");
    KvState   state;
    read_header(path, file.header, [&](const json & values) {
        state.key      = values.at("key").get<std::string>();
        state.adapters = read_adapters(values);
    });
    if (!file.sequence) {
        fail(LUUP_ERROR_IO, "%s is damaged: %s", path.c_str(), file.damage.c_str());
    }
    state.sequence = std::move(file.sequence);
    return state;
}

}  // namespace luup
