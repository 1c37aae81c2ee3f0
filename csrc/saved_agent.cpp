#include "saved_agent.h"

#include "error.h"
#include "fingerprint.h"
#include "whole_file.h"

#include <nlohmann/json.hpp>

#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <random>

namespace luup {

namespace {

namespace fs = std::filesystem;
using json   = nlohmann::ordered_json;

// The file: the magic; the header's length and the header, JSON; its fingerprint; the tokens, 4 bytes each; the state; their fingerprint.
// All numbers are as the machine has them: the state is not for another kind of machine either.
constexpr std::array<char, 8> magic      = { 'l', 'u', 'u', 'p', 'a', 'g', 't', '\1' };
constexpr uint64_t            max_header = 1u << 30;

// False from the first read on that the file is too short for.
class Reader {
  public:
    explicit Reader(const fs::path & path) : file_(path, std::ios::binary) {}

    bool raw(void * data, size_t size) { return static_cast<bool>(file_.read(static_cast<char *>(data), static_cast<std::streamsize>(size))); }
    bool number(uint64_t & value) { return raw(&value, sizeof(value)); }

  private:
    std::ifstream file_;
};

uint64_t fingerprint_of(const StoredSequence & sequence) {
    Fingerprint f;
    f.add(sequence.tokens.data(), sequence.tokens.size() * sizeof(llama_token));
    f.add(sequence.state.data(), sequence.state.size());
    return f.value();
}

// Reads the sequence, or tells why not.
std::string read_sequence(Reader & file, uint64_t bytes, StoredSequence & sequence, uint64_t n_tokens, uint64_t n_state) {
    if (n_tokens > bytes || n_state > bytes) {
        return "the file was cut off";
    }
    sequence.tokens.resize(n_tokens);
    sequence.state.resize(n_state);
    uint64_t fingerprint = 0;
    if (!file.raw(sequence.tokens.data(), n_tokens * sizeof(llama_token)) || !file.raw(sequence.state.data(), n_state) || !file.number(fingerprint)) {
        return "the file was cut off";
    }
    return fingerprint == fingerprint_of(sequence) ? "" : "the file was changed";
}

// A name that no other process or thread writes to.
std::string part_of(const std::string & path) {
    static std::atomic<uint64_t> number{ 0 };
    return path + "." + std::to_string(std::random_device{}()) + "-" + std::to_string(++number) + ".part";
}

}  // namespace

void write_agent(const std::string & path, const SavedAgent & agent) {
    const StoredSequence   none;
    const StoredSequence & sequence = agent.sequence ? *agent.sequence : none;
    const std::string      header   = json({ { "system_prompt", agent.system_prompt },
                                             { "history", to_json(agent.history) },
                                             { "extra", agent.extra },
                                             { "key", agent.key },
                                             { "tokens", sequence.tokens.size() },
                                             { "state", sequence.state.size() } })
                                          .dump();
    Fingerprint            f;
    f.add(header.data(), header.size());
    WholeFile  file(path, part_of(path));
    const auto number = [&](uint64_t value) { file.write(&value, sizeof(value)); };
    file.write(magic.data(), magic.size());
    number(header.size());
    file.write(header.data(), header.size());
    number(f.value());
    file.write(sequence.tokens.data(), sequence.tokens.size() * sizeof(llama_token));
    file.write(sequence.state.data(), sequence.state.size());
    number(fingerprint_of(sequence));
    file.commit();
}

SavedAgent read_agent(const std::string & path) {
    const fs::path  source = fs::u8path(path);
    std::error_code ec;
    const uint64_t  bytes = fs::file_size(source, ec);
    Reader          file(source);
    if (ec) {
        fail(LUUP_ERROR_IO, "%s can't be read: %s", path.c_str(), ec.message().c_str());
    }
    std::array<char, 8> begin = {};
    if (!file.raw(begin.data(), begin.size()) || begin != magic) {
        fail(LUUP_ERROR_IO, "%s is no saved agent", path.c_str());
    }
    uint64_t    size = 0, fingerprint = 0;
    std::string header;
    const bool  sized = file.number(size) && size <= bytes && size <= max_header;
    header.resize(sized ? size : 0);
    Fingerprint f;
    const bool  whole = sized && file.raw(&header[0], header.size()) && file.number(fingerprint);
    f.add(header.data(), header.size());
    const json values = json::parse(header, nullptr, false);
    if (!whole || f.value() != fingerprint || !values.is_object()) {
        fail(LUUP_ERROR_IO, "%s is damaged: what was said can't be read", path.c_str());
    }
    SavedAgent agent;
    try {
        agent.system_prompt = values.at("system_prompt").get<std::string>();
        agent.history       = parse_messages(values.at("history").dump());
        agent.extra         = values.at("extra").get<std::string>();
        agent.key           = values.at("key").get<std::string>();
        const auto tokens   = values.at("tokens").get<uint64_t>();
        if (tokens > 0) {
            StoredSequence sequence;
            agent.damage = read_sequence(file, bytes, sequence, tokens, values.at("state").get<uint64_t>());
            if (agent.damage.empty()) {
                agent.sequence = std::move(sequence);
            }
        }
    } catch (const json::exception & e) {
        fail(LUUP_ERROR_IO, "%s is damaged: %s", path.c_str(), e.what());
    }
    return agent;
}

}  // namespace luup
