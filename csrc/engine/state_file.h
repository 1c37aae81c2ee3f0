// A file with a text header and, optionally, a sequence with its KV state. Reading it checks for damage.
#pragma once

#include "engine/stored_sequence.h"

#include <array>
#include <optional>
#include <string>

namespace luup {

using FileMagic = std::array<char, 8>;

struct StateFile {
    std::string                   header;
    std::optional<StoredSequence> sequence;
    std::string                   damage;  // why the sequence in the file can't be used; "" if it can, or there is none
};

// Writes a temporary file beside `path` and renames it, so that `path` has either the old content or the new one.
// `sequence` may be null. Throws Error(LUUP_ERROR_IO).
void write_state_file(const std::string & path, const FileMagic & magic, const std::string & header,
                      const StoredSequence * sequence);

// The header must be intact; a damaged sequence is reported in `damage`. `what` names the kind of file in errors.
// Throws Error(LUUP_ERROR_IO).
StateFile read_state_file(const std::string & path, const FileMagic & magic, const char * what);

}  // namespace luup
