// The built-in to-do list.
#pragma once

#include "chat/tools.h"

#include <string>
#include <vector>

namespace luup {

// Makes todo_add, todo_list, todo_complete and todo_delete for the list in the file `path`; an empty `path` keeps it in
// memory. Throws Error.
std::vector<Tool> make_todo_tools(const std::string & path);

}  // namespace luup
