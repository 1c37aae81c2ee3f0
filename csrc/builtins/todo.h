// The built-in to-do list.
#pragma once

#include "tools.h"

#include <string>
#include <vector>

namespace luup {

// todo_add, todo_list, todo_complete and todo_delete, on the list in the file `path`, or in memory if it is empty. Throws Error.
std::vector<Tool> make_todo_tools(const std::string & path);

}  // namespace luup
