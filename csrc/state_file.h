// A file with a text and a part of the context, which is checked when it is read.
#pragma once

#include "warm_store.h"

#include <array>
#include <optional>
#include <string>

namespace luup {

using FileMagic = std::array<char, 8>;

struct StateFile {
    std::string                   header;
    std::optional<StoredSequence> sequence;
    std::string                   damage;  // why there is no sequence although there was one; "" if there is nothing to say
};

// Writes through a file beside it, so that `path` has the old content or the new one. `sequence` may be null. Throws Error(LUUP_ERROR_IO).
void write_state_file(const std::string & path, const FileMagic & magic, const std::string & header, const StoredSequence * sequence);

// The header has to be whole; a damaged part of the context is told in `damage`. Throws Error(LUUP_ERROR_IO), which calls the file no `what`.
StateFile read_state_file(const std::string & path, const FileMagic & magic, const char * what);

}  // namespace luup
