// Files that are mapped into memory and that another process may shorten or overwrite meanwhile.
#pragma once

#include "base/unchanged_file.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace luup {

// Watches files that are mapped into memory. Reading a page behind the end of a file that became shorter raises SIGBUS,
// which ends a process. While an object lives, such a read of its files gives zeros instead, and lost() reports it. The
// page may also be lost because the disk failed. On Linux only; elsewhere the object does nothing. Reads of other
// mappings, and other signals, are as before.
class MappedFiles {
  public:
    // Files that don't exist are left out.
    explicit MappedFiles(const std::vector<std::string> & paths);
    ~MappedFiles();
    MappedFiles(const MappedFiles &)             = delete;
    MappedFiles & operator=(const MappedFiles &) = delete;

    // Watches another file, which lost() calls `name`. Call it while no other thread uses this object.
    void watch(const std::string & path, const std::string & name);

    // Returns the path of a file of which a page could not be read, or "". Any thread may call it; it takes no time.
    std::string lost() const;

    // Returns the path of a file whose content may be another than when it was first watched, or "". Any thread may
    // call it; it takes less than a microsecond a file. Not on Windows.
    std::string changed() const;

  private:
    struct Slot;

    struct Watched {
        std::string path;
        Slot *      slot;
        uint64_t    losses;  // before this object
    };

    struct Opened {
        std::string                    path;
        std::unique_ptr<UnchangedFile> file;
    };

    std::vector<Watched> files_;
    std::vector<Opened>  opened_;

    friend struct MappedFileTable;
};

}  // namespace luup
