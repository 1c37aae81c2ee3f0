// When the weights of a local model are in memory: unloaded when they were idle for long enough, loaded when needed.
#pragma once

#include "base/error.h"
#include "model/loaded.h"
#include "model/model.h"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <thread>

namespace luup {

// One thread, started when it is first needed, loads the weights and frees them. Threads that use the weights hold
// Model::use(), which the weights outlive, or a Hold.
class Residency {
  public:
    // The functions of the model; any thread may call them.
    struct Owner {
        std::string                                          name;       // for messages
        std::function<std::unique_ptr<LoadedModel>()>        load;  // throws Error; stops when `closing` returns true
        std::function<std::unique_lock<std::shared_mutex>()> try_alone;  // an empty lock while the model is in use
        std::function<bool()>                                closing;
    };

    // `keep_alive_ms`: how long the weights stay in memory after their last use; -1 = for ever.
    Residency(Owner owner, std::unique_ptr<LoadedModel> loaded, int64_t keep_alive_ms);
    ~Residency();
    Residency(const Residency &)             = delete;
    Residency & operator=(const Residency &) = delete;

    // Loads the weights if they are not in memory. Blocks, unless this thread is interrupted. Throws Error.
    void load();

    // The same; and they are not unloaded while the result lives.
    Hold hold();

    // Whether they are in memory.
    bool loaded() const;

    // The weights, after load(); null if they are not in memory. Valid while Model::use() is held.
    LoadedModel * get() const;

    // Calls `look` with the weights, if they are in memory, without counting that as a use. It must not block.
    void peek(const std::function<void(LoadedModel & loaded)> & look) const;

    // Throws Error(LUUP_ERROR_BUSY) while there are holds.
    void check_no_holds() const;

    // Frees them. `alone` is the exclusive lock of the model, which is released. Throws likewise.
    void unload(std::unique_lock<std::shared_mutex> alone);

    // The counters of all engines so far.
    luup_model_stats stats() const;

    // Frees the weights for good, once the model is not in use. Idempotent.
    void close();

  private:
    using Clock = std::chrono::steady_clock;
    using Lock  = std::unique_lock<std::mutex>;

    void run();
    void start_thread();
    void wait_until_loaded(Lock & lock);
    void load_now(Lock & lock);
    void unload_if_due(Lock & lock);
    void free_weights(Lock & lock, std::unique_lock<std::shared_mutex> alone);
    void fail_if_held() const;
    void release(Lock & lock);

    const Owner    owner_;
    const int64_t  keep_alive_ms_;
    const unsigned generation_ = fork_generation();

    mutable std::mutex           mutex_;  // guards all below; taken after Model::use() and the mutex of a run
    std::condition_variable      changed_;
    std::unique_ptr<LoadedModel> loaded_;
    Failure                      failure_;  // of the last load
    uint64_t                     loads_   = 0;  // that have ended, one way or another
    bool                         wanted_  = false;  // a thread waits for a load
    bool                         busy_    = false;  // a thread is loading or freeing the weights
    bool                         used_    = false;  // since the model was loaded for the first time
    bool                         closing_ = false;
    int64_t                      holds_   = 0;  // threads that wait for a load, too
    Clock::time_point            last_use_;
    luup_model_stats             past_ = {};  // the counters of the engines that are gone
    std::thread                  thread_;
};

}  // namespace luup
