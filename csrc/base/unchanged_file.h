// A file whose content must stay as it is, because it is mapped into memory.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace luup {

// Keeps the file open, so that another file in its place is not mistaken for it: a program that has mapped the old one
// still reads the old content.
class UnchangedFile {
  public:
    // A file that can't be opened counts as unchanged.
    explicit UnchangedFile(const std::string & path);
    ~UnchangedFile();
    UnchangedFile(const UnchangedFile &)             = delete;
    UnchangedFile & operator=(const UnchangedFile &) = delete;

    // Whether its size and its time of change are the first ones. False for ever once it was false, since what was
    // computed with the other content can't be taken back. Any thread may call it.
    bool is_unchanged() const;

  private:
    struct Stamp {
        uint64_t size    = 0;
        int64_t  seconds = 0, nanoseconds = 0;  // of the last change
    };

    bool stamp(Stamp & now) const;

    int                       file_ = -1;
    Stamp                     first_;
    mutable std::atomic<bool> changed_{ false };
};

}  // namespace luup
