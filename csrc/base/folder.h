// Lists the files of a folder.
#pragma once

#include <string>
#include <vector>

namespace luup {

// Returns the names in a folder, in no order, without "." and ".."; empty if it can't be read. Throws std::bad_alloc,
// for which std::filesystem::directory_iterator of the GNU library ends the process.
std::vector<std::string> names_in(const std::string & folder);

}  // namespace luup
