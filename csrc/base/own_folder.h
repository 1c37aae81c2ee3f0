// A folder of this user alone, with files that programs of this user make and trust.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace luup {

// A file as the file system knows it. A changed file differs in one of the numbers: no program can set its ctime.
struct FileIdentity {
    uint64_t device = 0, inode = 0, size = 0;
    int64_t  modified = 0, changed = 0;  // nanoseconds since 1970

    bool operator==(const FileIdentity & other) const {
        return device == other.device && inode == other.inode && size == other.size && modified == other.modified &&
               changed == other.changed;
    }

    std::string text() const;
};

// std::nullopt if there is no such file. Symbolic links are followed.
std::optional<FileIdentity> identify_file(const std::string & path);

// Whether the file was left alone for some seconds: one that is written again within a tick of the file system's clock
// would keep its identity.
bool is_settled(const FileIdentity & file);

// A regular file that is this user's alone, open for reading.
class OwnFile {
  public:
    OwnFile() = default;
    ~OwnFile();
    OwnFile(OwnFile && other) noexcept;
    OwnFile & operator=(OwnFile && other) noexcept;

    explicit operator bool() const { return file_ >= 0; }

    int                  descriptor() const { return file_; }
    const FileIdentity & identity() const { return identity_; }

    // Reads exactly `size` bytes at `offset`; false if it can't.
    bool read(void * data, size_t size, uint64_t offset) const;

  private:
    friend class OwnFolder;

    int          file_ = -1;
    FileIdentity identity_;
};

// On Linux only; elsewhere there is none.
class OwnFolder {
  public:
    struct Entry {
        std::string name;
        uint64_t    size = 0;
        int64_t     used = 0;  // nanoseconds since 1970: touch(), or when it was made
    };

    // Makes the folder if it is missing. If it can't be, or if others may write to it, the object has none, and the
    // reason is logged.
    explicit OwnFolder(const std::string & path);

    explicit operator bool() const { return !path_.empty(); }

    std::string path(const std::string & name) const { return path_ + "/" + name; }

    // Opens a file. One that is not regular, or not this user's alone, is removed, and counts as missing.
    OwnFile open(const std::string & name) const;

    // Returns the content of a file with at most `limit` bytes; std::nullopt if it is missing or longer.
    std::optional<std::string> read(const std::string & name, size_t limit) const;

    // Replaces a file. False, with the reason in the log, if it can't be written.
    bool write(const std::string & name, const std::string & content) const;

    void remove(const std::string & name) const;
    void touch(const std::string & name) const;

    // All files whose names end so.
    std::vector<Entry> list(const std::string & end) const;

    // Bytes that a user may write to its disk, and of the whole disk; 0 if unknown.
    uint64_t free_bytes() const;
    uint64_t disk_bytes() const;

  private:
    std::string path_;
};

// A lock between processes, by a file of an OwnFolder. Released at the end of the object and of the process.
class OwnLock {
  public:
    OwnLock() = default;
    ~OwnLock();
    OwnLock(const OwnLock &)             = delete;
    OwnLock & operator=(const OwnLock &) = delete;

    enum class Result { Taken, Busy, Impossible };

    // Never waits.
    Result try_take(const OwnFolder & folder, const std::string & name);

    void release();

  private:
    int file_ = -1;
};

// The identity of this run of the operating system; "" if unknown.
std::string boot_id();

}  // namespace luup
