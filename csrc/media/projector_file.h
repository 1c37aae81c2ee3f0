// Checks of a projector file by its header.
#pragma once

#include <cstdint>
#include <string>

namespace luup {

// Checks the header, and that the file has all of its weights. Throws Error(LUUP_ERROR_MODEL_LOAD_FAILED) that names
// the file if it is not a projector, is shorter than its header says, or is of a kind that this library can't run.
void check_projector(const std::string & path);

// Returns the bytes that a projector takes on one device: its weights, and its buffers for a picture or sound of its
// own size. Reads the header only, in a child process first unless the projector was `tried`. Throws
// Error(LUUP_ERROR_MODEL_LOAD_FAILED).
uint64_t projector_memory(const std::string & path, bool tried = false);

}  // namespace luup
