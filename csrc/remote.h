// A model behind an OpenAI-compatible server: request bodies out, stream chunks in. The host moves the bytes.
#pragma once

#include "answer.h"
#include "output.h"
#include "tools.h"

#include <nlohmann/json.hpp>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace luup {

class RemoteAnswer;

// How a server is asked for a typed result.
enum class ResponseFormat { JsonSchema,
                            JsonObject,
                            None };

// What one turn asks a server for.
struct RemoteTurn {
    std::vector<Message>                messages;  // the system prompt first
    std::shared_ptr<const ToolSet>      tools;
    std::string                         tool_choice;  // "auto", "required", "none" or a tool's name
    bool                                parallel = true;
    std::shared_ptr<const OutputFormat> output;  // may be null
    Sampling                            sampling;
};

// The remote side of a model: its name, and the answers under way.
class Remote {
  public:
    // `extra_body` is merged into each request's body as a JSON merge patch (RFC 7396). Throws Error.
    Remote(std::string name, const std::string & extra_body, ResponseFormat format);

    // The body of a chat completion request. `format`: whether a typed result is asked for with response_format.
    std::string body(const RemoteTurn & turn, bool format) const;

    // Whether the server takes response_format, as far as is known.
    bool takes_format() const { return format_ != ResponseFormat::None && !format_refused_; }
    void refuse_format() { format_refused_ = true; }

    // close() ends it from now on. Throws Error(LUUP_ERROR_CLOSED).
    void add(const std::shared_ptr<RemoteAnswer> & answer);
    void close();

    const std::string & name() const { return name_; }

  private:
    const std::string                        name_;
    const nlohmann::ordered_json             extra_body_;
    const ResponseFormat                     format_;
    std::atomic<bool>                        format_refused_{ false };
    std::mutex                               mutex_;
    std::vector<std::weak_ptr<RemoteAnswer>> answers_;
    bool                                     closed_ = false;
};

// An answer that comes as chunks of a chat completion. Any thread may push; the listener is told in that thread, with a lock of the answer held.
class RemoteAnswer {
  public:
    // `begun`: what the seconds to the first token are counted from.
    RemoteAnswer(std::shared_ptr<Answer::Listener> listener, bool asks_for_format, Clock::time_point begun);

    // A chunk as JSON text, or "[DONE]". What is wrong with it ends the answer. False once it has ended.
    bool push(const std::string & chunk);

    // The stream is over. `failure.code` LUUP_SUCCESS: as far as the host knows it came whole.
    void end(const Failure & failure);

    // Nothing has come yet, and a response_format was asked for.
    bool may_drop_format() const;

  private:
    using Json = nlohmann::ordered_json;

    struct Call {
        std::string id, name, arguments;
    };

    // mutex_ is held in all of these.
    void         take(const Json & chunk);
    void         take_choice(const Json & choice);
    void         take_call(const Json & fragment, size_t position);
    void         take_usage(const Json & usage);
    void         tell(const std::string & reasoning, const std::string & text);
    void         finish(const Failure & failure);
    AnswerResult result() const;

    const bool                        asks_for_format_;
    const Clock::time_point           begun_, requested_ = Clock::now();
    mutable std::mutex                mutex_;
    std::shared_ptr<Answer::Listener> listener_;  // until the end
    std::string                       content_, reasoning_;
    std::map<int64_t, Call>           calls_;  // by index
    int64_t                           last_call_ = -1;
    std::string                       finish_reason_;
    size_t                            chunks_ = 0;
    Metrics                           metrics_;
    std::optional<Clock::time_point>  first_, last_;
};

}  // namespace luup
