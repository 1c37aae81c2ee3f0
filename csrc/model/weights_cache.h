// The folder that keeps weights in the layout of this machine's kernels, so that they are made once.
#pragma once

#include "base/own_folder.h"
#include "model/weights_file.h"

#include <cstdint>
#include <optional>
#include <string>

namespace luup {

// On Linux only; elsewhere, and without a folder, it keeps nothing. Files of several processes and versions share the
// folder: a process that writes one removes those that were not used for the longest time.
class WeightsCache {
  public:
    // `folder`: null or "" for none. `limit`: bytes of all files together.
    WeightsCache(const char * folder, int64_t limit);

    const OwnFolder * folder() const { return folder_ ? &*folder_ : nullptr; }

    explicit operator bool() const { return folder_.has_value(); }

    // The file's name without its end. `model` names the weights' content, `layout` all that the layout depends on.
    static std::string name_of(const std::string & model, const std::string & layout);

    // Whether there is a file for this model, in any layout.
    bool may_have(const std::string & model) const;

    // Opens a file, see WeightsFile.
    bool open(WeightsFile & file, const std::string & name, const std::string & key, uint64_t size) const;

    // Whether the weights were compared with their checksum, since this machine was started and the file was changed.
    bool is_checked(const std::string & name, const WeightsFile & file) const;

    // Records that they were compared, and that the file was used.
    void set_checked(const std::string & name, const WeightsFile & file) const;
    void set_used(const std::string & name) const;

    void remove(const std::string & name) const;

    // See write_weights_file().
    void write(const std::string & name, const std::string & key, const void * data, uint64_t size,
               const std::string & table) const;

    // The file's path, for messages.
    std::string path(const std::string & name) const;

    // Waits until no other process makes this file. False if `stop` returns true, or if that takes minutes.
    template <typename Stop> bool lock(OwnLock & lock, const std::string & name, Stop stop) const;

    // Releases the lock. A process that waited for the file of this lock finds its weights.
    void unlock(OwnLock & lock, const std::string & name) const;

    // Makes room for a file. Returns why it must not be written, "" if it may.
    std::string make_room(uint64_t size) const;

  private:
    OwnLock::Result try_lock(OwnLock & lock, const std::string & name) const;
    static bool     wait_a_moment(int & moments);

    std::optional<OwnFolder> folder_;
    uint64_t                 limit_;
};

template <typename Stop> bool WeightsCache::lock(OwnLock & lock, const std::string & name, Stop stop) const {
    for (int moments = 0;;) {
        const OwnLock::Result result = try_lock(lock, name);
        if (result != OwnLock::Result::Busy) {
            return result == OwnLock::Result::Taken;
        }
        if (stop() || !wait_a_moment(moments)) {
            return false;
        }
    }
}

}  // namespace luup
