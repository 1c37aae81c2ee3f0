// Facts about a model's files that earlier loads found out, so that the next one need not.
#pragma once

#include "base/own_folder.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace luup {

// Facts by names, kept in a folder for as long as the files are the same: by their places on the disk, sizes and times.
// Files that were written within the last seconds are not known, nor are small ones, which are read in no time.
class KnownFile {
  public:
    // `folder` may be null: then nothing is known. Never throws Error.
    KnownFile(const OwnFolder * folder, const std::vector<std::string> & files);

    // Whether facts are kept.
    bool is_kept() const { return !name_.empty(); }

    // Whether the files are still those of the constructor.
    bool is_unchanged() const;

    std::optional<std::string> get(const std::string & name) const;

    // Neither has line ends, and the name no spaces.
    void put(const std::string & name, const std::string & value);

    uint64_t bytes() const { return bytes_; }  // of all the files

  private:
    std::string identity() const;

    const OwnFolder *                  folder_;
    std::vector<std::string>           files_;
    std::string                        identity_, name_;
    uint64_t                           bytes_ = 0;
    std::map<std::string, std::string> facts_;
};

}  // namespace luup
