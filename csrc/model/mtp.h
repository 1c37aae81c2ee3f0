// The heads in a model's own file that guess several tokens (multi-token prediction, MTP; llama.cpp calls them NextN).
#pragma once

#include "model/known_file.h"

#include <string>

namespace luup {

// The result of check_mtp() for heads that can be used.
constexpr char mtp_used[] = "used";

// Returns whether the heads of a file can be used: `mtp_used`, the reason why not, or "" if it has none. Tries them in
// a child process, unless `known` has the result. Only for a file that check_load() accepted.
std::string check_mtp(const std::string & path, KnownFile & known);

// The architectures whose heads llama.cpp can run, by their names.
bool has_mtp_graph(const std::string & architecture);

}  // namespace luup
