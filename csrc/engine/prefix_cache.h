// Prefixes of prompts with their KV states, kept in a folder for the next process.
#pragma once

#include "engine/stored_sequence.h"

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace luup {

// One file for each prefix. A file that can't be read or written only causes a warning in the log.
class PrefixCache {
  public:
    // Creates the folder if there is none. `key` names what a state depends on besides its tokens: states of other keys
    // are not found. Throws Error(LUUP_ERROR_IO).
    PrefixCache(std::string folder, std::string key);

    // Waits until everything is written.
    ~PrefixCache();
    PrefixCache(const PrefixCache &)             = delete;
    PrefixCache & operator=(const PrefixCache &) = delete;

    // Returns the state of exactly these tokens, if there is a file of it. `adapters` is the key of those that it was
    // computed with.
    std::optional<StoredSequence> find(const std::vector<llama_token> & tokens, const std::string & adapters) const;

    // Has a thread write the state. If all files take too much room, the least recently used ones are deleted.
    void put(StoredSequence sequence, const std::string & adapters);

  private:
    struct Written {
        StoredSequence sequence;
        std::string    key;
    };

    std::string path_of(const std::vector<llama_token> & tokens, const std::string & key) const;
    void        write_all();
    void        trim(const std::string & keep) const;

    const std::string       folder_;
    const std::string       key_;
    std::mutex              mutex_;
    std::condition_variable wakeup_;
    std::deque<Written>     waiting_;
    bool                    closing_ = false;
    std::thread             writer_;  // started by the first put()
};

}  // namespace luup
