// The built-in notebook.
#pragma once

#include "tools.h"

#include <string>
#include <vector>

namespace luup {

// note_create, note_read, note_update, note_delete, note_search and note_list, on the notes in the file `path`, or in memory if it is empty.
// Throws Error.
std::vector<Tool> make_note_tools(const std::string & path);

// `text` as it is compared in a search: neither case nor the accents of Latin, Greek and Cyrillic letters count.
std::string folded(const std::string & text);

}  // namespace luup
