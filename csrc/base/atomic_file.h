// Files that are replaced as a whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace luup {

// Writes a new version of `path` into a file beside it; commit() puts it in place in one step once all of it is on the
// disk. Before that, and after a failure, `path` keeps its content. Throws Error(LUUP_ERROR_IO) with the path.
//
// Only regular files are replaced: not folders, devices or FIFOs; a symbolic link stays one, and its target is
// replaced. A new file can be read by its owner alone, since it may hold a conversation; one that is replaced keeps its
// mode.
//
// Files beside `path` are called .luup-NUMBER.part. Those of processes that died are deleted when the next one is
// written in the same folder.
class AtomicFile {
  public:
    explicit AtomicFile(std::string path);
    ~AtomicFile();
    AtomicFile(const AtomicFile &)             = delete;
    AtomicFile & operator=(const AtomicFile &) = delete;

    void write(const void * data, size_t size);
    void commit();

    // The same, without waiting for the disk: after a crash of the machine, `path` may have another content. For files
    // that are checked when they are read, and can be made again.
    void commit_soon();

  private:
    [[noreturn]] void refuse(const std::string & reason) const;
    void              replace();

    const std::string path_;
    std::string       target_, part_;  // the file that is replaced, and the one beside it
    intptr_t          file_    = -1;
    bool              written_ = false;  // part_ has replaced target_
};

}  // namespace luup
