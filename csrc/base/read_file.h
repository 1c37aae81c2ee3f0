// Reading regular files, and absolute paths.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace luup {

// A regular file, read from its beginning. Never waits for a writer, as reading a FIFO does.
class RegularFile {
  public:
    enum class Links { Follow, Refuse };

    // Throws Error(LUUP_ERROR_IO) if the file can't be read, or is a folder, a device or a FIFO, or a symbolic link
    // that must not be followed.
    RegularFile(const std::string & path, Links links);

    // Like the constructor, but returns std::nullopt if the file does not exist.
    static std::optional<RegularFile> open(const std::string & path, Links links);

    ~RegularFile();
    RegularFile(RegularFile && other) noexcept;
    RegularFile & operator=(RegularFile &&) = delete;

    uint64_t size() const { return size_; }

    // Reads up to `size` bytes and returns their number, which is less only at the end. Throws Error(LUUP_ERROR_IO).
    size_t read(void * data, size_t size);

  private:
    explicit RegularFile(const std::string & path) : path_(path) {}

    bool try_open(Links links);  // false if it does not exist

    std::string path_;
    intptr_t    file_ = -1;
    uint64_t    size_ = 0;
};

// Returns the content of a regular file, std::nullopt if it does not exist. Throws Error(LUUP_ERROR_IO) if it can't be
// read, is a symbolic link, a folder or a device, or has more than `limit` bytes.
std::optional<std::string> read_whole_file(const std::string & path, uint64_t limit);

// Returns `path` as an absolute path, which stays valid when the process changes its working directory.
std::string absolute_path(const std::string & path);

}  // namespace luup
