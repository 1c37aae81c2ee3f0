#include "base/system_error.h"

#include "base/error.h"

#include <cerrno>
#include <system_error>

#if defined(_WIN32)
#    include <windows.h>

#    include <filesystem>
#endif

namespace luup {

std::string system_reason() {
#if defined(_WIN32)
    return std::system_category().message(static_cast<int>(GetLastError()));
#else
    return std::generic_category().message(errno);
#endif
}

void fail_io(const std::string & path, const char * what, const std::string & reason) {
    fail(LUUP_ERROR_IO, "%s %s: %s", path.c_str(), what, reason.c_str());
}

#if defined(_WIN32)
std::wstring wide_path(const std::string & path) {
    return std::filesystem::u8path(path).wstring();
}
#endif

}  // namespace luup
