// The outcome that a run reports at its end.
#pragma once

#include "base/error.h"
#include "engine/engine.h"
#include "luup_agent.h"

#include <cstdint>
#include <string>

namespace luup {

// Not locked by itself: written with the run's mutex held.
struct Outcome {
    luup_finish_reason reason = LUUP_FINISH_NONE;
    Failure            failure;
    Metrics            metrics;         // of all turns
    int32_t            turns      = 0;  // answers that were asked for and not asked for again
    std::string        confidence = "";

    // Seconds from the run's start until its first turn could go to a model, if a summary had to be written before.
    double summary_seconds = 0;

    // Adds the metrics of one turn to those of the run.
    void add_turn(const Metrics & metrics);

    // Fills the fields of DONE and ERROR events. `confidence` belongs to this object.
    void write(luup_event & event) const;
};

// Adds counts and times.
void add(Metrics & sum, const Metrics & metrics);

double seconds_since(Clock::time_point start);

}  // namespace luup
