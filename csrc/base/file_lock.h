// A lock that processes and threads share.
#pragma once

#include <cstdint>
#include <string>

namespace luup {

// A lock held by one thread of one process at a time. `path` is a file used for the lock only; it is not removed.
// Waits up to `seconds`, then throws Error(LUUP_ERROR_IO).
class FileLock {
  public:
    FileLock(const std::string & path, double seconds);
    ~FileLock();
    FileLock(const FileLock &)             = delete;
    FileLock & operator=(const FileLock &) = delete;

  private:
    intptr_t file_ = -1;
};

}  // namespace luup
