// The summary that makes room in a run's conversation before a turn.
#pragma once

#include "agent/builtins/summarization.h"
#include "agent/run_request.h"
#include "agent/summarizer.h"
#include "agent/transcript.h"
#include "engine/engine.h"
#include "model/model.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace luup {

// Once in a run, the oldest messages of the conversation are replaced by a summary of them, which the model writes in
// one step or several, or the host at once. Without a summary the turn begins as it would have: the prompt may still
// fit.
//
//   plan() -> [ request() -> take() ]* -> insert()     the model writes it
//   plan() -> old() -> take_from_host() -> insert()    the host does; if it declines, the model writes it
//
// Not locked by itself. The thread that begins a turn calls plan(), request() and insert(); take(), take_from_host()
// and the end of the run come with the run's mutex held, while no turn is being begun.
class SummaryStep {
  public:
    // Decides whether a prompt of `prompt_tokens` (0: unknown) gives cause to a summary and the conversation allows
    // one, and which messages it replaces. Throws Error.
    bool plan(const SingleModel & model, const Transcript & transcript, const RunRequest & request,
              const Summarization::Settings & settings, size_t prompt_tokens);

    // plan() has decided for a summary.
    bool begun() const { return summarizer_ != nullptr; }

    // begun(), and the summary is neither inserted nor given up.
    bool under_way() const { return begun() && !inserted_ && !gave_up_; }

    bool gave_up() const { return gave_up_; }
    bool inserted() const { return inserted_; }

    // The host has to write it.
    bool by_host() const { return by_host_; }

    // The summary is complete: insert() it.
    bool done() const { return summarizer_->done(); }

    // The next request to the model: messages, tools and sampling.
    TurnRequest request(uint32_t seed) const;

    // The messages that the summary replaces.
    const std::vector<Message> & old() const { return summarizer_->old(); }

    // Adds what a request has cost.
    void count(const Metrics & metrics);

    // Takes the model's answer to request(). Gives up if the request failed or the text is blank.
    void take(const std::string & text, const Failure & failure);

    // Takes the host's summary; none: it declines. Throws Error(LUUP_ERROR_INVALID_PARAM) for an empty one.
    void take_from_host(const std::optional<std::string> & summary);

    struct Inserted {
        std::string summary;
        int32_t     replaced;  // messages that it replaces
        int32_t     messages;  // that the conversation had, the system prompt not counted
    };

    // Replaces the old messages in transcript.base.
    Inserted insert(Transcript & transcript);

    // The metrics of all requests; they count for the run, but not for its first token.
    const Metrics & metrics() const { return metrics_; }

  private:
    std::unique_ptr<Summarizer> summarizer_;
    bool                        by_host_  = false;
    bool                        gave_up_  = false;
    bool                        inserted_ = false;
    Metrics                     metrics_;
};

}  // namespace luup
