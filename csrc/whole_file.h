// Files that are replaced whole or not at all, and the lock that processes and threads share for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace luup {

// Writes a file beside `path`, which takes its place in one step when all of it is on the disk. Until then, and after a failure, `path` is as
// it was. All throw Error(LUUP_ERROR_IO) that names the path.
class WholeFile {
  public:
    // `part`: the name of the file beside it; one that is left over from a process that died is replaced.
    WholeFile(std::string path, std::string part);
    ~WholeFile();
    WholeFile(const WholeFile &)             = delete;
    WholeFile & operator=(const WholeFile &) = delete;

    void write(const void * data, size_t size);
    void commit();

  private:
    [[noreturn]] void refuse(const std::string & reason) const;

    const std::string path_, part_;
    intptr_t          file_    = -1;
    bool              written_ = false;  // part_ has taken the place of path_
};

// Held by one thread of one process at a time; `path` is a file of its own, which stays. Waits up to `seconds`, then throws Error(LUUP_ERROR_IO).
class FileLock {
  public:
    FileLock(const std::string & path, double seconds);
    ~FileLock();
    FileLock(const FileLock &)             = delete;
    FileLock & operator=(const FileLock &) = delete;

  private:
    intptr_t file_ = -1;
};

// The content of a regular file; std::nullopt if there is none. Throws Error(LUUP_ERROR_IO) for what can't be read, a symbolic link, a folder, a
// device, and more than `limit` bytes.
std::optional<std::string> read_whole_file(const std::string & path, uint64_t limit);

// `path` from the root, so that it stays the same file wherever the process goes.
std::string absolute_path(const std::string & path);

}  // namespace luup
