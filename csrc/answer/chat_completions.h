// A model behind a server with OpenAI's chat completions API: writes the request bodies. The host sends them.
#pragma once

#include "answer/output.h"
#include "answer/server_habits.h"
#include "chat/message.h"
#include "chat/tools.h"
#include "engine/sampler.h"

#include <nlohmann/json.hpp>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace luup {

class ChatCompletionStream;

// The request of one turn.
struct ChatCompletionRequest {
    std::vector<Message>                messages;  // the system prompt first
    std::shared_ptr<const ToolSet>      tools;
    std::string                         tool_choice;  // "auto", "required", "none" or a tool's name
    bool                                parallel = true;
    std::shared_ptr<const OutputFormat> output;  // may be null
    Sampling                            sampling;
};

// A remote model: its name and options, and its answers in progress. Any thread may call the methods.
class ChatCompletions {
  public:
    // `extra_body` is merged into each request's body as a JSON merge patch (RFC 7396). Throws Error.
    ChatCompletions(std::string name, const std::string & extra_body, std::shared_ptr<ServerHabits> habits);

    // Returns the JSON body of a request, in the form that the server wants, as far as is known. `form` receives how it
    // was written.
    std::string body(const ChatCompletionRequest & turn, RequestForm & form) const;

    // Whether the server accepts response_format, as far as is known.
    bool takes_format() const { return habits_->takes_format(); }

    const std::shared_ptr<ServerHabits> & habits() const { return habits_; }

    // Registers an answer, so that close() ends it. Throws Error(LUUP_ERROR_CLOSED).
    void add(const std::shared_ptr<ChatCompletionStream> & answer);

    // Ends all answers in progress with LUUP_ERROR_CLOSED.
    void close();

    const std::string & name() const { return name_; }

  private:
    const std::string                                name_;
    const nlohmann::ordered_json                     extra_body_;
    const std::shared_ptr<ServerHabits>              habits_;
    std::mutex                                       mutex_;
    std::vector<std::weak_ptr<ChatCompletionStream>> answers_;
    bool                                             closed_ = false;
};

}  // namespace luup
