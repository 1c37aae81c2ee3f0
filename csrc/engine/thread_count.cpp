#include "engine/thread_count.h"

#include <algorithm>
#include <cmath>

#if defined(_WIN32)
#    include <windows.h>
#else
#    include <time.h>
#endif

namespace luup {

namespace {

// A quota of processor time is renewed every 100 ms: a shorter window sees only the time before, or after it was used
// up.
constexpr double window_seconds = 0.1;
constexpr size_t window_decodes = 2;

// Below this share of the time, other processes use the processors.
constexpr double contended = 0.9;

// From this share on, the machine grants all that is asked for.
constexpr double granted = 0.97;

// Another number of threads has to be that much faster, or both would take turns.
constexpr double faster = 1.05;

// A trial that is clearly slower ends early, and one that is much slower earlier.
constexpr double clearly_slower = 0.8;
constexpr double much_slower    = 0.5;
constexpr double short_trial    = 0.03;

// Trials of more threads are at most that far apart when the machine grants all: the others may have gone.
constexpr double granted_pause = 1.0;

// The shares of two moments differ by more than this: something has changed, and failed trials count no more.
constexpr double changed = 0.15;

// After a rest of that many seconds the load of the machine may have changed. But a short answer is not worth a trial.
constexpr double long_rest  = 1.0;
constexpr double rest_pause = 1.5;

}  // namespace

double thread_seconds() {
#if defined(_WIN32)
    FILETIME created, ended, kernel, user;
    if (!GetThreadTimes(GetCurrentThread(), &created, &ended, &kernel, &user)) {
        return 0;
    }
    const auto ticks = [](const FILETIME & t) {
        return static_cast<double>((static_cast<uint64_t>(t.dwHighDateTime) << 32) | t.dwLowDateTime);
    };
    return (ticks(kernel) + ticks(user)) * 1e-7;
#else
    timespec t{};
    return clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0
               ? static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9
               : 0;
#endif
}

ThreadCount::ThreadCount(int32_t most, bool fixed) {
    for (int32_t n = 1; !fixed && n < most; n += std::max(1, n / 6)) {
        steps_.push_back(n);
    }
    steps_.push_back(most);
    at_ = base_ = steps_.size() - 1;
}

bool ThreadCount::full() const {
    return at_ + 1 == steps_.size();
}

void ThreadCount::record(double work, double wall, double cpu, double idle) {
    if (steps_.size() == 1 || wall <= 0) {
        return;
    }
    if (idle > long_rest) {
        for (Trials * trials : { &more_, &fewer_ }) {
            *trials = { std::min(trials->pause, rest_pause), std::min(trials->due, clock_ + rest_pause) };
        }
    }
    clock_ += wall;
    window_.work += work;
    window_.wall += wall;
    window_.cpu += cpu;
    window_.decodes++;
    const bool whole = window_.wall >= window_seconds && window_.decodes >= window_decodes;
    if (trying_) {
        const bool slow  = (window_.wall >= window_seconds / 2 && window_.rate() < base_rate_ * clearly_slower) ||
                           (window_.wall >= short_trial && window_.rate() < base_rate_ * much_slower);
        const bool twice = whole && window_.wall >= 2 * window_seconds;
        if (slow || twice || (whole && window_.rate() < base_rate_ * faster)) {
            end_trial();
        }
    } else if (whole) {
        look();
    }
}

// A window is over: begins a trial where there is a reason for it.
void ThreadCount::look() {
    const double share = window_.share();
    base_rate_         = window_.rate();
    window_            = {};
    if (std::abs(share - base_share_) > changed) {
        forget_failures();
        base_share_ = share;
    }
    if (share >= granted) {
        more_.due = std::min(more_.due, clock_ + granted_pause);
    }
    if (at_ > 0 && share < contended && clock_ >= fewer_.due) {
        try_step(fewer_.pause > first_pause ? at_ - 1 : step_for(count() * share), fewer_);
    } else if (!full() && clock_ >= more_.due) {
        try_step(at_ + 1, more_);
    }
}

// Returns the last step below at_ that has at most `threads` threads; else the first.
size_t ThreadCount::step_for(double threads) const {
    size_t step = at_ - 1;
    while (step > 0 && steps_[step] > threads) {
        step--;
    }
    return step;
}

void ThreadCount::try_step(size_t step, Trials & trials) {
    trials.due = clock_ + trials.pause;
    trying_    = true;
    base_      = at_;
    at_        = step;
}

// The trial is kept if it was faster for long enough.
void ThreadCount::end_trial() {
    const double rate   = window_.rate();
    Trials &     trials = at_ > base_ ? more_ : fewer_;
    window_             = {};
    trying_             = false;
    if (rate > base_rate_ * faster) {
        base_rate_ = rate;
        trials     = { first_pause, clock_ };
    } else {
        at_          = base_;
        trials.pause = std::min(trials.pause * 2, last_pause);
        trials.due   = clock_ + trials.pause;
    }
}

void ThreadCount::forget_failures() {
    more_ = fewer_ = { first_pause, clock_ };
}

}  // namespace luup
