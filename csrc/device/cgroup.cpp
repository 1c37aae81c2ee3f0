#include "device/cgroup.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <limits>
#include <sstream>

#if defined(__linux__)
#    include <sys/resource.h>
#    include <unistd.h>
#endif

namespace luup {

namespace {

constexpr uint64_t no_limit = std::numeric_limits<uint64_t>::max();

// Return the first word of a file; "" if it can't be read.
std::string first_word(const std::string & path) {
    std::ifstream file(path);
    std::string   word;
    file >> word;
    return word;
}

uint64_t number_in(const std::string & path) {
    const std::string word = first_word(path);
    return word.empty() || word == "max" ? no_limit : std::strtoull(word.c_str(), nullptr, 10);
}

// Return the value of `name` in a file with a name and a number in each line; 0 if it has none.
uint64_t value_in(const std::string & path, const std::string & name) {
    std::ifstream file(path);
    std::string   word;
    for (uint64_t value = 0; file >> word >> value; file.ignore(16, '\n')) {
        if (word == name) {
            return value;
        }
    }
    return 0;
}

// Return the process's group of a controller, such as "/user.slice"; of version 2 if `controller` is empty.
std::string group_of(const CgroupFiles & files, const std::string & controller) {
    std::ifstream file(files.self);
    for (std::string line; std::getline(file, line);) {  // 4:cpu,cpuacct:/path
        const size_t first = line.find(':'), second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) {
            continue;
        }
        std::istringstream names(line.substr(first + 1, second - first - 1));
        std::string        name;
        bool               found = controller.empty() && second == first + 1;
        while (std::getline(names, name, ',')) {
            found = found || (!controller.empty() && name == controller);
        }
        if (found) {
            return line.substr(second + 1);
        }
    }
    return "/";
}

// Calls `visit` with the folder of the process's group and of each that holds it, up to `mount`. In a container the
// groups above its own are not visible, and its own may be at `mount`.
void each_group(const std::string & mount, std::string group, const std::function<void(const std::string &)> & visit) {
    while (!group.empty() && group != "/") {
        visit(mount + group);
        group.resize(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
    }
    visit(mount);
}

}  // namespace

int cgroup_processors(const CgroupFiles & files) {
    double     least = std::numeric_limits<double>::infinity();
    const auto take  = [&](double quota, double period) {
        if (quota > 0 && period > 0) {
            least = std::min(least, quota / period);
        }
    };
    each_group(files.mount, group_of(files, ""), [&](const std::string & folder) {
        std::ifstream file(folder + "/cpu.max");
        std::string   quota;
        double        period = 0;
        if (file >> quota >> period && quota != "max") {
            take(std::strtod(quota.c_str(), nullptr), period);
        }
    });
    each_group(files.mount + "/cpu", group_of(files, "cpu"), [&](const std::string & folder) {
        take(std::strtod(first_word(folder + "/cpu.cfs_quota_us").c_str(), nullptr),
             std::strtod(first_word(folder + "/cpu.cfs_period_us").c_str(), nullptr));
    });
    return std::isfinite(least) ? std::max(1, static_cast<int>(std::ceil(least - 0.01))) : 0;
}

uint64_t cgroup_memory_left(const CgroupFiles & files) {
    uint64_t   least = no_limit;
    const auto take  = [&](uint64_t limit, uint64_t used, uint64_t cached) {
        if (limit != no_limit && used != no_limit) {
            const uint64_t needed = used - std::min(used, cached);
            least                 = std::min(least, limit - std::min(limit, needed));
        }
    };
    each_group(files.mount, group_of(files, ""), [&](const std::string & folder) {
        take(number_in(folder + "/memory.max"), number_in(folder + "/memory.current"),
             value_in(folder + "/memory.stat", "inactive_file"));
    });
    each_group(files.mount + "/memory", group_of(files, "memory"), [&](const std::string & folder) {
        take(number_in(folder + "/memory.limit_in_bytes"), number_in(folder + "/memory.usage_in_bytes"),
             value_in(folder + "/memory.stat", "total_inactive_file"));
    });
    return least;
}

uint64_t available_memory() {
    uint64_t left = no_limit;
#if defined(__linux__)
    const uint64_t machine = value_in("/proc/meminfo", "MemAvailable:");
    left                   = std::min(machine > 0 ? machine * 1024 : no_limit, cgroup_memory_left());
    rlimit space           = {};
    if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY) {
        const uint64_t used = number_in("/proc/self/statm") * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
        left                = std::min<uint64_t>(left, space.rlim_cur - std::min<uint64_t>(space.rlim_cur, used));
    }
#endif
    return left == no_limit ? 0 : left;
}

}  // namespace luup
