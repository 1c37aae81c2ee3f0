// One turn of a run as a model takes it: what is asked for, and the turn while it is prepared and answered.
#pragma once

#include "answer/answer.h"
#include "answer/chat_completion_stream.h"
#include "answer/output.h"
#include "chat/tools.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace luup {

// A request to a model for one answer, with its priority.
struct TurnRequest {
    std::vector<Message>                messages;  // the system prompt first
    std::shared_ptr<const ToolSet>      tools;     // never null
    std::string                         tool_choice    = "auto";  // "auto", "required", "none" or a tool's name
    bool                                parallel_calls = true;
    std::shared_ptr<const OutputFormat> output;  // null: free text
    Sampling                            sampling;
    bool                                confidence = false;  // report how probable the enums and booleans were
    std::vector<std::string>            choices;             // score these texts instead of generating one
    std::optional<std::string>          raw_prompt;  // the whole prompt, without the template and the messages

    // Arguments of a call are compared with what the user and the tools said, and with the calls of earlier turns.
    std::string           said;
    std::vector<ToolCall> earlier_calls;

    // Computes the tokens that other conversations of the agent begin with too; may be null.
    std::function<std::vector<llama_token>(const ChatTemplate & chat)> shared_prefix;

    // The prompt of the run's last turn, replaced by this one's: their common beginning is tokenized once. May be null;
    // has to live until prepare() returns.
    TokenizedText * last_prompt = nullptr;

    uint64_t                         owner    = 0;  // the agent whose sequence stays warm; 0: keep nothing
    int32_t                          priority = 0;  // higher first
    std::optional<Clock::time_point> deadline;
    std::optional<Clock::time_point> begun;  // time to the first token counts from here; default: from the submission
};

// The prompt of a turn: its text and its tokens, or the JSON body of a request without tokens.
struct TurnPrompt {
    std::string              text;
    std::vector<llama_token> tokens;
};

// Receives what a model answers, in the engine's thread or in the one that pushes a server's chunks.
class TurnListener : public Answer::Listener {
  public:
    // The log-probability of each of `choices` among all of them.
    virtual void on_scores(const std::vector<double> & scores, const Failure & failure, const Metrics & metrics) = 0;
};

// Made by SingleModel::prepare(). Call make_answer() and start() once each, in this order, from the thread that begins
// the turn and with Model::use() held; any thread may call the rest once make_answer() has returned. Must not outlive
// its model.
class ModelTurn {
  public:
    virtual ~ModelTurn() = default;

    // The length of the prompt in tokens; 0 if only the server knows it.
    virtual size_t prompt_tokens() const = 0;

    // Returns the prompt that the model will get. Call it before make_answer(). Throws Error.
    virtual TurnPrompt prompt() const = 0;

    // Makes the answer, which will report to `listener`. Throws Error.
    virtual void make_answer(std::shared_ptr<TurnListener> listener) = 0;

    // Hands the answer to the engine; does nothing where a server answers. `admitted`: the engine has already accepted
    // a turn of this run, so a full queue does not refuse this one; set to true when a turn is handed over. Throws
    // Error.
    virtual void start(bool & admitted) = 0;

    // Makes the engine end the turn at its next step.
    virtual void cancel() = 0;

    // Ends the thoughts of the answer, if it has any; does nothing where a server answers.
    virtual void stop_thinking() {}

    // The tokens that start() hands to the engine, in all prompts.
    virtual size_t submitted_tokens() const = 0;

    // The exchange with the server, which the host carries out; null where this process answers.
    struct Exchange {
        std::string                           body;  // JSON that the host posts
        std::shared_ptr<ChatCompletionStream> answer;  // takes the chunks of the response
    };

    virtual const Exchange * exchange() const { return nullptr; }

    // The server refused the request with these words. Returns whether the same turn may be asked for again, in another
    // form. Takes the answer's lock: call it without the run's.
    virtual bool adapt(const std::string & refusal) {
        (void) refusal;
        return false;
    }
};

}  // namespace luup
