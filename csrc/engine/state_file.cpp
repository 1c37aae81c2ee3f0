#include "engine/state_file.h"

#include "base/error.h"
#include "base/fingerprint.h"
#include "base/atomic_file.h"
#include "base/read_file.h"

namespace luup {

namespace {

// The file's layout: the magic; the header's length in bytes, the header, the header's fingerprint; the number of
// tokens and of bytes of the state, the tokens (4 bytes each), the state, the fingerprint of both. Numbers are unsigned
// 64-bit integers in the machine's byte order, since a state can't move to another kind of machine either.

constexpr uint64_t max_header = 1u << 30;  // bytes

// Reads a file from its beginning. From the first read beyond its end on, every read returns false.
class Reader {
  public:
    explicit Reader(const std::string & path) : file_(path, RegularFile::Links::Follow) {}

    uint64_t size() const { return file_.size(); }
    bool     raw(void * data, size_t size) { return file_.read(data, size) == size; }
    bool     number(uint64_t & value) { return raw(&value, sizeof(value)); }

  private:
    RegularFile file_;
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

// Returns why the sequence can't be used; "" if it can.
std::string read_sequence(Reader & file, uint64_t bytes, StoredSequence & sequence) {
    uint64_t n_tokens = 0, n_state = 0, fingerprint = 0;
    if (!file.number(n_tokens) || !file.number(n_state) || n_tokens > bytes || n_state > bytes) {
        return "the file was cut off";
    }
    sequence.tokens.resize(n_tokens);
    sequence.state = Buffer(n_state);
    if (!file.raw(sequence.tokens.data(), n_tokens * sizeof(llama_token)) ||
        !file.raw(sequence.state.data(), n_state) || !file.number(fingerprint)) {
        return "the file was cut off";
    }
    return fingerprint == fingerprint_of(sequence) ? "" : "the file was changed";
}

}  // namespace

void write_state_file(const std::string & path, const FileMagic & magic, const std::string & header,
                      const StoredSequence * sequence) {
    const StoredSequence   none;
    const StoredSequence & saved = sequence ? *sequence : none;
    AtomicFile             file(path);
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
    Reader         file(path);
    const uint64_t bytes = file.size();
    FileMagic      begin = {};
    if (!file.raw(begin.data(), begin.size()) || begin != magic) {
        fail(LUUP_ERROR_IO, "%s is not a %s", path.c_str(), what);
    }
    StateFile  result;
    uint64_t   size = 0, fingerprint = 0;
    const bool sized = file.number(size) && size <= bytes && size <= max_header;
    result.header.resize(sized ? size : 0);
    if (!sized || !file.raw(&result.header[0], result.header.size()) || !file.number(fingerprint) ||
        fingerprint != fingerprint_of(result.header)) {
        fail(LUUP_ERROR_IO, "%s is damaged: its header can't be read", path.c_str());
    }
    StoredSequence sequence;
    result.damage = read_sequence(file, bytes, sequence);
    if (result.damage.empty() && !sequence.tokens.empty()) {
        result.sequence = std::move(sequence);
    }
    return result;
}

}  // namespace luup
