#include "saved_agent.h"

#include "error.h"
#include "fingerprint.h"

#include <nlohmann/json.hpp>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace luup {

namespace {

namespace fs = std::filesystem;
using json   = nlohmann::ordered_json;

// The file: the magic; the header's length and the header, JSON; its fingerprint; the tokens, 4 bytes each; the state; their fingerprint.
// All numbers are as the machine has them: the state is not for another kind of machine either.
constexpr std::array<char, 8> magic      = { 'l', 'u', 'u', 'p', 'a', 'g', 't', '\1' };
constexpr uint64_t            max_header = 1u << 30;

class Writer {
  public:
    explicit Writer(const fs::path & path) : file_(path, std::ios::binary | std::ios::trunc) {}

    void raw(const void * data, size_t size) { file_.write(static_cast<const char *>(data), static_cast<std::streamsize>(size)); }
    void number(uint64_t value) { raw(&value, sizeof(value)); }
    bool close() {
        file_.close();
        return !file_.fail();
    }

  private:
    std::ofstream file_;
};

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

}  // namespace

void write_agent(const std::string & path, const SavedAgent & agent) {
    static std::atomic<uint64_t> number{ 0 };
    const fs::path               target = fs::u8path(path);
    const fs::path               part   = fs::u8path(path + ".part" + std::to_string(++number));
    const StoredSequence         none;
    const StoredSequence &       sequence = agent.sequence ? *agent.sequence : none;
    const std::string            header   = json({ { "system_prompt", agent.system_prompt },
                                                   { "history", to_json(agent.history) },
                                                   { "extra", agent.extra },
                                                   { "key", agent.key },
                                                   { "tokens", sequence.tokens.size() },
                                                   { "state", sequence.state.size() } })
                                                .dump();
    Fingerprint                  f;
    f.add(header.data(), header.size());
    Writer file(part);
    file.raw(magic.data(), magic.size());
    file.number(header.size());
    file.raw(header.data(), header.size());
    file.number(f.value());
    file.raw(sequence.tokens.data(), sequence.tokens.size() * sizeof(llama_token));
    file.raw(sequence.state.data(), sequence.state.size());
    file.number(fingerprint_of(sequence));
    std::error_code ec;
    const bool      written = file.close();
    if (written) {
        fs::rename(part, target, ec);
    }
    if (!written || ec) {
        std::error_code ignored;
        fs::remove(part, ignored);
        fail(LUUP_ERROR_IO, "the agent can't be saved to %s: %s", path.c_str(), ec ? ec.message().c_str() : "the file can't be written");
    }
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
