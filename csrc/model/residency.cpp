#include "model/residency.h"

#include "base/interrupt.h"
#include "base/log.h"

#include <algorithm>
#include <exception>
#include <system_error>
#include <utility>

#if defined(__GLIBC__)
#    include <malloc.h>
#endif

namespace luup {

namespace {

// How often threads that wait look whether they should go on waiting.
constexpr std::chrono::milliseconds tick{ 10 };

// About 100 years: a time so far away still fits the clock.
constexpr int64_t longest_keep_alive_ms = 100ll * 366 * 24 * 3600 * 1000;

// Returns the C library's free memory to the system: an unloaded model must not stay in the process as free blocks.
void trim_heap() {
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}

// Adds the counters of `more`, and sets the rest to what `more` says.
void add_stats(luup_model_stats & stats, const luup_model_stats & more) {
    const luup_model_stats past = stats;
    stats                       = more;
    stats.tokens_prefilled += past.tokens_prefilled;
    stats.tokens_cached += past.tokens_cached;
    stats.tokens_decoded += past.tokens_decoded;
    stats.batches += past.batches;
    stats.batch_tokens += past.batch_tokens;
    stats.largest_batch = std::max(stats.largest_batch, past.largest_batch);
    stats.prefixes_loaded += past.prefixes_loaded;
    stats.tokens_drafted += past.tokens_drafted;
    stats.drafts_accepted += past.drafts_accepted;
    stats.evictions += past.evictions;
    stats.restored += past.restored;
    stats.preemptions += past.preemptions;
    stats.rewound += past.rewound;
}

// Sets what describes the present moment to that of a model without an engine.
void clear_present(luup_model_stats & stats) {
    stats.runs_active = stats.runs_waiting = 0;
    stats.sequences_active = stats.sequences_parked = stats.sequences_in_ram = 0;
    stats.context_used                                                       = 0;
    stats.ram_used                                                           = 0;
    stats.checkpoints                                                        = 0;
    stats.checkpoint_bytes                                                   = 0;
}

}  // namespace

Residency::Residency(Owner owner, std::unique_ptr<LoadedModel> loaded, int64_t keep_alive_ms)
    : owner_(std::move(owner)),
      keep_alive_ms_(std::min(keep_alive_ms, longest_keep_alive_ms)),
      loaded_(std::move(loaded)),
      last_use_(Clock::now()) {
    if (keep_alive_ms_ >= 0) {
        start_thread();
    }
}

Residency::~Residency() {
    close();
}

// ---------------------------------------------------------------------------------------------------------------------
// Uses
// ---------------------------------------------------------------------------------------------------------------------

void Residency::load() {
    hold();
}

Hold Residency::hold() {
    LoadedModel * loaded;
    {
        Lock lock(mutex_);
        holds_++;
        try {
            wait_until_loaded(lock);
        } catch (...) {
            release(lock);
            throw;
        }
        loaded = loaded_.get();
    }
    return Hold(loaded, [this](const void *) {
        if (generation_ == fork_generation()) {  // else another thread of the parent may have held the mutex
            Lock lock(mutex_);
            release(lock);
        }
    });
}

void Residency::release(Lock &) {
    holds_--;
    used_     = true;
    last_use_ = Clock::now();
    if (holds_ == 0 && keep_alive_ms_ == 0) {
        changed_.notify_all();
    }
}

// The caller is among `holds_`.
void Residency::wait_until_loaded(Lock & lock) {
    if (loaded_) {
        return;
    }
    if (!thread_.joinable()) {
        start_thread();
    }
    wanted_ = true;
    changed_.notify_all();
    for (const uint64_t before = loads_; !loaded_;) {
        if (closing_ || owner_.closing()) {
            fail(LUUP_ERROR_CLOSED, "the model %s is closed", owner_.name.c_str());
        }
        if (loads_ != before) {
            throw Error(failure_.code, failure_.message);
        }
        changed_.wait_for(lock, tick);
        lock.unlock();
        try {
            check_interruption();
        } catch (...) {
            lock.lock();
            throw;
        }
        lock.lock();
    }
}

bool Residency::loaded() const {
    return get() != nullptr;
}

LoadedModel * Residency::get() const {
    Lock lock(mutex_);
    return loaded_.get();
}

void Residency::peek(const std::function<void(LoadedModel & loaded)> & look) const {
    Lock lock(mutex_);
    if (loaded_) {
        look(*loaded_);
    }
}

luup_model_stats Residency::stats() const {
    Lock             lock(mutex_);
    luup_model_stats stats = past_;
    if (loaded_) {
        add_stats(stats, loaded_->engine().stats());
    }
    return stats;
}

// ---------------------------------------------------------------------------------------------------------------------
// The thread
// ---------------------------------------------------------------------------------------------------------------------

// With the mutex held, or from the constructor.
void Residency::start_thread() {
    try {
        thread_ = std::thread(&Residency::run, this);
    } catch (const std::system_error & e) {
        fail(LUUP_ERROR_OUT_OF_MEMORY, "the thread that loads and unloads the model could not be started: %s",
             e.what());
    }
}

void Residency::run() {
    // A thread's first exception allocates, and the process ends if memory is short by then: do that now.
    const volatile int exceptions = std::uncaught_exceptions();
    (void) exceptions;
    Lock lock(mutex_);
    while (!closing_) {
        if (busy_) {
            changed_.wait(lock);  // another thread frees the weights
        } else if (wanted_) {
            load_now(lock);
        } else if (loaded_ && keep_alive_ms_ >= 0 && (used_ || keep_alive_ms_ > 0)) {
            unload_if_due(lock);
        } else {
            changed_.wait(lock);
        }
    }
}

void Residency::load_now(Lock & lock) {
    std::unique_ptr<LoadedModel> loaded;
    Failure                      failure;
    if (!loaded_) {
        busy_ = true;
        lock.unlock();
        try {
            loaded = owner_.load();
        } catch (...) {
            failure = current_failure();
            trim_heap();
        }
        lock.lock();
        busy_     = false;
        loaded_   = std::move(loaded);
        failure_  = failure;
        last_use_ = Clock::now();
        loads_++;
    }
    wanted_ = false;
    changed_.notify_all();
}

// Unloads the weights, or waits until that may be due. A use that begins meanwhile need not wake this thread: it makes
// that time later, never earlier.
void Residency::unload_if_due(Lock & lock) {
    const auto keep = std::chrono::milliseconds(keep_alive_ms_);
    if (holds_ > 0) {
        if (keep_alive_ms_ == 0) {
            changed_.wait(lock);  // for release()
        } else {
            changed_.wait_for(lock, std::max(keep, tick));
        }
        return;
    }
    const auto due = last_use_ + keep;
    if (Clock::now() < due) {
        changed_.wait_until(lock, due);
        return;
    }
    lock.unlock();
    auto alone = owner_.try_alone();
    lock.lock();
    if (!alone) {
        changed_.wait_for(lock, tick);
    } else if (loaded_ && !busy_ && holds_ == 0 && !wanted_ && last_use_ + keep <= Clock::now()) {
        log_write(LUUP_LOG_INFO, "the model " + owner_.name + " is idle, and is unloaded");
        free_weights(lock, std::move(alone));
    }
}

// Frees the weights without the locks: threads that come meanwhile wait until all memory is free before they load the
// weights again.
void Residency::free_weights(Lock & lock, std::unique_lock<std::shared_mutex> alone) {
    add_stats(past_, loaded_->engine().stats());
    clear_present(past_);
    std::unique_ptr<LoadedModel> loaded = std::move(loaded_);
    busy_                               = true;
    lock.unlock();
    alone.unlock();
    loaded.reset();
    trim_heap();
    lock.lock();
    busy_ = false;
    changed_.notify_all();
}

void Residency::check_no_holds() const {
    Lock lock(mutex_);
    fail_if_held();
}

void Residency::fail_if_held() const {
    if (holds_ > 0) {
        fail(LUUP_ERROR_BUSY,
             "the model %s can't be unloaded while runs are under way (%lld): wait for their end, or cancel them",
             owner_.name.c_str(), static_cast<long long>(holds_));
    }
}

void Residency::unload(std::unique_lock<std::shared_mutex> alone) {
    Lock lock(mutex_);
    fail_if_held();
    while (busy_ && !closing_) {  // freed already, or loaded for a run that was cancelled meanwhile
        changed_.wait(lock);
    }
    if (loaded_) {
        free_weights(lock, std::move(alone));
    }
}

void Residency::close() {
    {
        Lock lock(mutex_);
        closing_ = true;
        changed_.notify_all();
    }
    if (thread_.joinable()) {
        thread_.join();
    }
    std::unique_ptr<LoadedModel> loaded;
    {
        Lock lock(mutex_);
        loaded = std::move(loaded_);
    }
    loaded.reset();  // without the mutex: the runs that end with it give back their holds
}

}  // namespace luup
