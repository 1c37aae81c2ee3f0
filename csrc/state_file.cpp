#include "state_file.h"

#include "error.h"
#include "fingerprint.h"

#include <filesystem>
#include <fstream>
#include <random>

namespace luup {

namespace {

namespace fs = std::filesystem;

// The file: the magic; the header's length, the header, its fingerprint; the number of tokens and of bytes of the state, the tokens, 4 bytes each,
// the state, the fingerprint of both. All numbers are as the machine has them: the state is not for another kind of machine either.
constexpr uint64_t max_header = 1u << 30;

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
    sequence.state.resize(n_state);
    if (!file.raw(sequence.tokens.data(), n_tokens * sizeof(llama_token)) || !file.raw(sequence.state.data(), n_state) || !file.number(fingerprint)) {
        return "the file was cut off";
    }
    return fingerprint == fingerprint_of(sequence) ? "" : "the file was changed";
}

}  // namespace

void write_state_file(const std::string & path, const FileMagic & magic, const std::string & header, const StoredSequence * sequence) {
    const StoredSequence   none;
    const StoredSequence & saved  = sequence ? *sequence : none;
    const fs::path         target = fs::u8path(path);
    const fs::path         part   = fs::u8path(path + ".part" + std::to_string(std::random_device{}()));
    Writer                 file(part);
    file.raw(magic.data(), magic.size());
    file.number(header.size());
    file.raw(header.data(), header.size());
    file.number(fingerprint_of(header));
    file.number(saved.tokens.size());
    file.number(saved.state.size());
    file.raw(saved.tokens.data(), saved.tokens.size() * sizeof(llama_token));
    file.raw(saved.state.data(), saved.state.size());
    file.number(fingerprint_of(saved));
    std::error_code ec;
    const bool      written = file.close();
    if (written) {
        fs::rename(part, target, ec);
    }
    if (!written || ec) {
        std::error_code ignored;
        fs::remove(part, ignored);
        fail(LUUP_ERROR_IO, "%s can't be written: %s", path.c_str(), ec ? ec.message().c_str() : "is there such a folder, and room in it?");
    }
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
