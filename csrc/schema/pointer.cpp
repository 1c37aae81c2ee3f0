#include "schema/pointer.h"

#include "base/error.h"
#include "base/text.h"

#include <algorithm>

namespace luup {

namespace {

constexpr size_t max_shown_pointer = 300;  // bytes of a pointer in an error message

}  // namespace

std::string pointer_to(const std::string & parent, const std::string & key) {
    std::string out = parent + "/";
    for (const char c : key) {
        out += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
    }
    return out;
}

std::vector<std::string> pointer_parts(const std::string & pointer) {
    std::vector<std::string> parts;
    for (size_t i = 0; i < pointer.size();) {
        const size_t end = std::min(pointer.find('/', i + 1), pointer.size());
        std::string  part;
        for (size_t k = i + 1; k < end; k++) {
            const bool escaped = pointer[k] == '~' && k + 1 < end;
            part += escaped ? (pointer[k + 1] == '1' ? '/' : '~') : pointer[k];
            k += escaped;
        }
        parts.push_back(part);
        i = end;
    }
    return parts;
}

void invalid_schema(const std::string & pointer, const std::string & what) {
    const std::string shown = pointer.size() > max_shown_pointer
                                  ? pointer.substr(0, utf8_prefix(pointer, max_shown_pointer)) + "..."
                                  : pointer;
    fail(LUUP_ERROR_INVALID_SCHEMA, "%s: %s", shown.empty() ? "/" : shown.c_str(), what.c_str());
}

}  // namespace luup
