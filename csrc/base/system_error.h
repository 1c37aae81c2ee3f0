// Errors of the operating system as text, and paths as it takes them.
#pragma once

#include <string>

namespace luup {

// Returns the reason of the last failed system call of the calling thread.
std::string system_reason();

// Throws Error(LUUP_ERROR_IO) with the message "<path> <what>: <reason>".
[[noreturn]] void fail_io(const std::string & path, const char * what, const std::string & reason);

#if defined(_WIN32)
std::wstring wide_path(const std::string & path);
#endif

}  // namespace luup
