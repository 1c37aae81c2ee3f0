// JSON pointers, and the error that names the place in a schema by one.
#pragma once

#include <string>
#include <vector>

namespace luup {

// Returns the pointer of a child: "/a~1b" for the key "a/b" below "".
std::string pointer_to(const std::string & parent, const std::string & key);

// Returns the keys of a pointer: "a/b" for "/a~1b".
std::vector<std::string> pointer_parts(const std::string & pointer);

// Throws Error(LUUP_ERROR_INVALID_SCHEMA) with the message "<pointer>: <what>".
[[noreturn]] void invalid_schema(const std::string & pointer, const std::string & what);

}  // namespace luup
