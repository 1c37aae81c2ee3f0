// What agents begin with, kept in a folder for the next process.
#pragma once

#include "warm_store.h"

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace luup {

// One file for each prefix. Files that can't be read or written cost a warning in the log, and nothing else.
class PrefixCache {
  public:
    // Makes the folder if there is none. `key`: what a state depends on besides its tokens. Throws Error(LUUP_ERROR_IO).
    PrefixCache(std::string folder, std::string key);

    // Waits for what is being written.
    ~PrefixCache();
    PrefixCache(const PrefixCache &)             = delete;
    PrefixCache & operator=(const PrefixCache &) = delete;

    // The state of exactly these tokens, if there is a file of it.
    std::optional<StoredSequence> find(const std::vector<llama_token> & tokens) const;

    // Hands it to a thread that writes it. The files that were not used for longest go if all take too much room.
    void put(StoredSequence sequence);

  private:
    std::string path_of(const std::vector<llama_token> & tokens) const;
    void        write_all();
    void        trim(const std::string & keep) const;

    const std::string          folder_;
    const std::string          key_;
    std::mutex                 mutex_;
    std::condition_variable    wakeup_;
    std::deque<StoredSequence> waiting_;
    bool                       closing_ = false;
    std::thread                writer_;  // begun with the first put()
};

}  // namespace luup
