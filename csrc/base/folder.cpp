#include "base/folder.h"

#if defined(_WIN32)
#    include <filesystem>
#    include <system_error>
#else
#    include <dirent.h>

#    include <memory>
#endif

namespace luup {

#if defined(_WIN32)

std::vector<std::string> names_in(const std::string & folder) {
    namespace fs = std::filesystem;
    std::vector<std::string> names;
    std::error_code          ec;
    for (fs::directory_iterator at(fs::u8path(folder), ec), end; !ec && at != end; at.increment(ec)) {
        names.push_back(at->path().filename().u8string());
    }
    return names;
}

#else

std::vector<std::string> names_in(const std::string & folder) {
    struct Close {
        void operator()(DIR * open) const { closedir(open); }
    };
    std::vector<std::string>          names;
    const std::unique_ptr<DIR, Close> open(opendir(folder.c_str()));
    while (const dirent * at = open ? readdir(open.get()) : nullptr) {
        const std::string name = at->d_name;
        if (name != "." && name != "..") {
            names.push_back(name);
        }
    }
    return names;
}

#endif

}  // namespace luup
