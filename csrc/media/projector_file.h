// Checks of a projector file by its header.
#pragma once

#include <string>

namespace luup {

// Checks the header, and that the file has all of its weights. Throws Error(LUUP_ERROR_MODEL_LOAD_FAILED) that names
// the file if it is not a projector, is shorter than its header says, or is of a kind that this library can't run.
void check_projector(const std::string & path);

}  // namespace luup
