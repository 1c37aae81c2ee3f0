// Facts about a model's file that are available before its weights are read.
#pragma once

#include <string>

namespace luup {

// Throws an Error that names the file unless it exists and begins like a GGUF file.
void check_file(const std::string & path);

// Returns a key that distinguishes files without reading gigabytes: from the size, the first 4 MiB (usually all of the
// metadata) and the last 4 MiB. Throws Error(LUUP_ERROR_MODEL_LOAD_FAILED) if the file can't be read.
std::string file_key(const std::string & path);

// The same for a text.
std::string text_key(const std::string & text);

}  // namespace luup
