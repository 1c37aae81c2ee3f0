// Files that are mapped and must stay as they are.
#include "check.h"
#include "base/mapped_files.h"
#include "base/unchanged_file.h"

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

using namespace luup;

#ifndef _WIN32

namespace {

// Ten seconds ago, so that a write of this moment is another time on every file system.
std::string old_file(const char * name, const std::string & content) {
    const auto path = std::filesystem::temp_directory_path() / name;
    std::ofstream(path, std::ios::binary) << content;
    std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now() - std::chrono::seconds(10));
    return path.string();
}

void overwrite(const std::string & path, size_t at, const std::string & bytes) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(at));
    file << bytes;
}

}  // namespace

CASE(a_write_in_place_is_seen_for_ever) {
    const std::string   path = old_file("luup-unchanged-1", "0123456789");
    const auto          time = std::filesystem::last_write_time(path);
    const UnchangedFile file(path);
    const MappedFiles   files({ path, path + ".missing" });
    CHECK(file.is_unchanged() && files.changed().empty());
    overwrite(path, 3, "x");
    CHECK(!file.is_unchanged() && files.changed() == path);
    overwrite(path, 3, "3");
    std::filesystem::last_write_time(path, time);
    CHECK(!file.is_unchanged() && files.changed() == path);
    CHECK(UnchangedFile(path).is_unchanged());
    std::filesystem::remove(path);
}

CASE(another_size_is_seen) {
    const std::string   path = old_file("luup-unchanged-2", "0123456789");
    const auto          time = std::filesystem::last_write_time(path);
    const UnchangedFile file(path);
    std::filesystem::resize_file(path, 4);
    std::filesystem::last_write_time(path, time);
    CHECK(!file.is_unchanged());
    std::filesystem::remove(path);
}

CASE(another_file_in_its_place_is_not_a_change) {
    const std::string   path  = old_file("luup-unchanged-3", "0123456789");
    const std::string   other = old_file("luup-unchanged-4", "9876");
    const UnchangedFile file(path);
    std::filesystem::rename(other, path);
    CHECK(file.is_unchanged());
    std::filesystem::remove(path);
    CHECK(file.is_unchanged());
    CHECK(UnchangedFile(path).is_unchanged());  // there is none
}

#endif
