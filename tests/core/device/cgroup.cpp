// The limits of control groups inside of one another.
#include "check.h"
#include "device/cgroup.h"

#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

using namespace luup;

namespace fs = std::filesystem;

namespace {

class Groups {
  public:
    explicit Groups(const std::string & self) : folder_(fs::temp_directory_path() / "luup-cgroups") {
        fs::remove_all(folder_);
        write("self", self);
    }

    ~Groups() { fs::remove_all(folder_); }

    void write(const std::string & path, const std::string & text) const {
        fs::create_directories((folder_ / path).parent_path());
        std::ofstream(folder_ / path) << text << "\n";
    }

    CgroupFiles files() const { return { (folder_ / "self").string(), (folder_ / "fs").string() }; }

  private:
    const fs::path folder_;
};

constexpr uint64_t unlimited = std::numeric_limits<uint64_t>::max();

}  // namespace

CASE(the_least_of_nested_groups_counts) {
    const Groups groups("0::/outer/inner");
    CHECK(cgroup_processors(groups.files()) == 0);
    CHECK(cgroup_memory_left(groups.files()) == unlimited);
    groups.write("fs/outer/inner/cpu.max", "max 100000");
    groups.write("fs/outer/cpu.max", "250000 100000");
    groups.write("fs/cpu.max", "800000 100000");
    CHECK(cgroup_processors(groups.files()) == 3);
    groups.write("fs/outer/inner/cpu.max", "50000 100000");
    CHECK(cgroup_processors(groups.files()) == 1);

    groups.write("fs/outer/inner/memory.max", "max");
    groups.write("fs/outer/inner/memory.current", "500");
    groups.write("fs/outer/memory.max", "10000");
    groups.write("fs/outer/memory.current", "7000");
    CHECK(cgroup_memory_left(groups.files()) == 3000);
    groups.write("fs/outer/memory.stat", "anon 6000\ninactive_file 1000\nactive_file 0");
    CHECK(cgroup_memory_left(groups.files()) == 4000);
    groups.write("fs/outer/memory.current", "12000");
    CHECK(cgroup_memory_left(groups.files()) == 0);
}

CASE(version_1_of_control_groups_counts_too) {
    const Groups groups("5:memory:/box\n4:cpu,cpuacct:/box\n1:name=systemd:/box");
    groups.write("fs/cpu/box/cpu.cfs_quota_us", "150000");
    groups.write("fs/cpu/box/cpu.cfs_period_us", "100000");
    CHECK(cgroup_processors(groups.files()) == 2);
    groups.write("fs/memory/box/memory.limit_in_bytes", "9000");
    groups.write("fs/memory/box/memory.usage_in_bytes", "4000");
    CHECK(cgroup_memory_left(groups.files()) == 5000);
}

CASE(a_group_that_is_not_visible_counts_as_the_root) {
    const Groups groups("0::/../elsewhere");
    groups.write("fs/cpu.max", "200000 100000");
    CHECK(cgroup_processors(groups.files()) == 2);
}

CASE(something_is_left_here) {
#if defined(__linux__)
    CHECK(available_memory() > 0);
#endif
}
