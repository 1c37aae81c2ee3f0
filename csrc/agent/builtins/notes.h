// The built-in notebook.
#pragma once

#include "chat/tools.h"

#include <string>
#include <vector>

namespace luup {

// Makes note_create, note_read, note_update, note_delete, note_search and note_list for the notes in the file `path`;
// an empty `path` keeps them in memory. Throws Error.
std::vector<Tool> make_note_tools(const std::string & path);

// `text` as a search compares it: in lower case, and without the accents of Latin, Greek and Cyrillic letters.
std::string folded(const std::string & text);

}  // namespace luup
