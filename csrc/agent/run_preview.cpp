// The first prompt of a run that is not started, made in the same way as that of one that is.
#include "agent/run.h"

#include "base/error.h"
#include "base/interrupt.h"

#include <utility>

namespace luup {

TurnPrompt Run::preview(std::shared_ptr<Agent> agent, RunRequest request) {
    request.check();
    const auto           in_use = agent->model().use();
    const auto           run    = std::make_shared<Run>(std::move(agent), std::move(request));
    const InterruptScope scope([&]() -> std::optional<Failure> {
        if (run->agent_->model().closing()) {
            return Failure{ LUUP_ERROR_CLOSED, "the model was closed" };
        }
        return run->is_late() ? std::make_optional(Failure{ LUUP_ERROR_TIMED_OUT, "the timeout passed" })
                              : std::nullopt;
    });
    run->transcript_.base = run->agent_->preview_run(run->request_);
    for (;;) {  // a fallback's model that refuses the turn is replaced by the next one
        try {
            return run->first_prompt();
        } catch (const Error & error) {
            const bool ours = error.code() == LUUP_ERROR_INVALID_PARAM || run->is_late();
            if (ours || ++run->turn_.candidate >= run->agent_->model().candidates()) {
                throw;
            }
            run->server_.reset();
        }
    }
}

// Returns the prompt of the first turn, for the model that would answer it.
TurnPrompt Run::first_prompt() {
    const auto  in_use  = agent_->model().use_candidate(turn_.candidate);
    const Hold  weights = model().hold();
    TurnRequest request = turn_request();
    server_.force(request, model().types_forced_calls());
    return model().prepare(std::move(request))->prompt();
}

}  // namespace luup
