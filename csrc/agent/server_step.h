// The part of a turn that a server answers: the exchange that the host carries out, and the call that is required.
#pragma once

#include "answer/forced_call.h"
#include "model/turn.h"

#include <memory>
#include <optional>
#include <string>

namespace luup {

// Where the model has to call a tool and only a server can make it, the text of the turn is held back: if it makes no
// call, the turn is asked for again with the call as a typed result. ForcedCall knows what to ask for; this class keeps
// it from one try of the turn to the next.
//
// Not locked by itself. force() is for the thread that begins a turn; call everything else with the run's mutex held.
class ServerStep {
  public:
    // Prepares `request` for a required call. `typed`: the model takes typed results for calls. Throws Error.
    void force(TurnRequest & request, bool typed);

    // Whether the request was already changed to one for a typed result.
    bool insists() const { return forced_ && forced_->insists(); }

    // Whether text is held back until the turn has ended.
    bool holds_text() const { return forced_.has_value(); }

    // Whether a turn that ended well has the required call; if not, it has to be requested again. Makes the calls of
    // `answer` from a typed result.
    bool accept(AnswerResult & answer, luup_finish_reason reason);

    // The text of a turn that was held back, to be reported now; "" if there is none.
    std::string held_text(const AnswerResult & answer) const;

    // The run has a request for the host, and `answer` takes the response.
    void open(std::shared_ptr<ChatCompletionStream> answer);

    // The response is complete or failed; answer() is null from now on.
    void close() { answer_.reset(); }

    // Takes the response; null while the run waits for none.
    const std::shared_ptr<ChatCompletionStream> & answer() const { return answer_; }

    // The host has the request, and waits for the response itself.
    void set_taken() { taken_ = true; }
    bool taken() const { return taken_; }

    // Another model answers the turn.
    void reset();

  private:
    std::shared_ptr<ChatCompletionStream> answer_;
    bool                                  taken_ = false;
    std::optional<ForcedCall>             forced_;
};

}  // namespace luup
