// The number of threads that compute: as many as a busy machine grants.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace luup {

// Return the seconds of processor time that the calling thread has used; 0 where that is unknown.
double thread_seconds();

// Chooses the number of threads of the next decode from how fast the decodes before were.
//
// Threads of a decode wait for each other hundreds of times. Where other programs want the same processors, or a
// container's quota is used up, one thread that is not running holds up all, and fewer threads are faster. That shows
// in the share of the time in which the calling thread runs: it sleeps while it waits for others, and it does not run
// when the system gives its processor away. Only then another number is tried for a moment, and kept if it is faster.
class ThreadCount {
  public:
    // With `fixed` it is always `most`.
    explicit ThreadCount(int32_t most, bool fixed = false);

    int32_t count() const { return steps_[at_]; }

    // A decode of `work` units with count() threads took `wall` seconds, of which the calling thread computed `cpu`. It
    // began `idle` seconds after the one before had ended.
    void record(double work, double wall, double cpu, double idle);

  private:
    // Trials of more or fewer threads. One that fails doubles the time until the next.
    struct Trials {
        double pause = first_pause;
        double due   = 0;  // on the clock that only decodes advance
    };

    // The measurements since the number of threads changed, or since the last look.
    struct Window {
        double work    = 0;
        double wall    = 0;
        double cpu     = 0;
        size_t decodes = 0;

        double rate() const { return work / wall; }
        double share() const { return cpu / wall; }
    };

    static constexpr double first_pause = 0.2;
    static constexpr double last_pause  = 6.4;

    bool   full() const;
    size_t step_for(double threads) const;
    void   look();
    void   end_trial();
    void   try_step(size_t step, Trials & trials);
    void   forget_failures();

    std::vector<int32_t> steps_;  // the numbers to choose from, ascending
    size_t               at_;
    Window               window_;
    double               clock_ = 0;

    bool   trying_     = false;
    size_t base_       = 0;  // where a trial returns to
    double base_rate_  = 0;
    double base_share_ = 1;  // when the last trial began
    Trials more_, fewer_;
};

}  // namespace luup
