#include "state_file.h"

#include "error.h"
#include "fingerprint.h"
#include "whole_file.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <random>

namespace luup {

namespace {

namespace fs = std::filesystem;

// The file: the magic; the header's length, the header, its fingerprint; the number of tokens and of bytes of the state, the tokens, 4 bytes each,
// the state, the fingerprint of both. All numbers are as the machine has them: the state is not for another kind of machine either.
constexpr uint64_t max_header = 1u << 30;

// False from the first read on that the file is too short for.
class Reader {
  public:
    explicit Reader(const fs::path & path) : file_(path, std::ios::binary) {}

    bool raw(void * data, size_t size) { return static_cast<bool>(file_.read(static_cast<char *>(data), static_cast<std::streamsize>(size))); }
    bool number(uint64_t & value) { return raw(&value, sizeof(value)); }

  private:
    std::ifstream file_;
};

uint64_t fingerprint_of(const std::string & text) {
    Fingerprint f;
    f.add(text.data(), text.size());
    return f.value();
}

uint64_t fingerprint_of(const StoredSequence & sequence) {
    Fingerprint f;
    f.add(sequence.tokens.data(), sequence.tokens.size() * sizeof(llama_token));
    f.add(sequence.state.data(), sequence.state.size());
    return f.value();
}

// Reads the sequence, or tells why not.
std::string read_sequence(Reader & file, uint64_t bytes, StoredSequence & sequence) {
    uint64_t n_tokens = 0, n_state = 0, fingerprint = 0;
    if (!file.number(n_tokens) || !file.number(n_state) || n_tokens > bytes || n_state > bytes) {
        return "the file was cut off";
    }
    sequence.tokens.resize(n_tokens);
    sequence.state = Bytes(n_state);
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

void write_state_file(const std::string & path, const FileMagic & magic, const std::string & header, const StoredSequence * sequence) {
    const StoredSequence   none;
    const StoredSequence & saved = sequence ? *sequence : none;
    WholeFile              file(path, part_of(path));
    const auto             number = [&](uint64_t value) { file.write(&value, sizeof(value)); };
    file.write(magic.data(), magic.size());
    number(header.size());
    file.write(header.data(), header.size());
    number(fingerprint_of(header));
    number(saved.tokens.size());
    number(saved.state.size());
    file.write(saved.tokens.data(), saved.tokens.size() * sizeof(llama_token));
    file.write(saved.state.data(), saved.state.size());
    number(fingerprint_of(saved));
    file.commit();
}

StateFile read_state_file(const std::string & path, const FileMagic & magic, const char * what) {
    const fs::path  source = fs::u8path(path);
    std::error_code ec;
    const uint64_t  bytes = fs::file_size(source, ec);
    Reader          file(source);
    if (ec) {
        fail(LUUP_ERROR_IO, "%s can't be read: %s", path.c_str(), ec.message().c_str());
    }
    FileMagic begin = {};
    if (!file.raw(begin.data(), begin.size()) || begin != magic) {
        fail(LUUP_ERROR_IO, "%s is no %s", path.c_str(), what);
    }
    StateFile  result;
    uint64_t   size = 0, fingerprint = 0;
    const bool sized = file.number(size) && size <= bytes && size <= max_header;
    result.header.resize(sized ? size : 0);
    if (!sized || !file.raw(&result.header[0], result.header.size()) || !file.number(fingerprint) || fingerprint != fingerprint_of(result.header)) {
        fail(LUUP_ERROR_IO, "%s is damaged: its beginning can't be read", path.c_str());
    }
    StoredSequence sequence;
    result.damage = read_sequence(file, bytes, sequence);
    if (result.damage.empty() && !sequence.tokens.empty()) {
        result.sequence = std::move(sequence);
    }
    return result;
}

}  // namespace luup
