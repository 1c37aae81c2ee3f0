// Assembles the chunks of a streamed chat completion into an answer.
#pragma once

#include "answer/answer.h"
#include "answer/server_calls.h"
#include "answer/server_habits.h"
#include "answer/server_json.h"
#include "answer/surrogates.h"
#include "answer/thought_tags.h"

#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace luup {

// One streamed answer. Any thread may call the methods. The listener is called in that thread while mutex_ is held, so
// it must not call the stream.
class ChatCompletionStream {
  public:
    // `begun`: when the time to the first token starts. `tools`: those that the model may call. `habits` learn from the
    // answer; both may be null.
    ChatCompletionStream(std::shared_ptr<Answer::Listener> listener, std::shared_ptr<const ToolSet> tools,
                         std::shared_ptr<ServerHabits> habits, Clock::time_point begun);

    // Takes a chunk: JSON text, or "[DONE]". One that is not a JSON object ends the answer with an error; one that has
    // no part of an answer is ignored. False once the answer has ended.
    bool push(const std::string & chunk);

    // The connection is closed. `failure.code` is LUUP_SUCCESS if nothing went wrong as far as the host knows.
    void end(const Failure & failure);

    // Whether the answer still waits for its first chunk, so that another request may take its place.
    bool untouched() const;

  private:
    // mutex_ is held in all of these.
    void         take(const Json & chunk);
    void         take_choice(const Json & choice);
    void         take_message(const Json & message, bool whole);
    void         take_content(const Json & message, bool whole);
    void         take_usage(const Json & usage);
    void         note_time();
    void         emit(const std::string & reasoning, const std::string & text);
    void         refuse(const std::string & problem);
    void         finish(Failure failure);
    Failure      failure_at_end() const;
    AnswerResult result() const;

    const Clock::time_point             begun_, requested_ = Clock::now();
    const std::shared_ptr<ServerHabits> habits_;
    mutable std::mutex                  mutex_;
    std::shared_ptr<Answer::Listener>   listener_;  // until the end
    std::string                         content_, reasoning_;
    std::string                         logprobs_;  // of tokens whose text was not reported yet
    ThoughtTags                         thoughts_;
    SurrogateJoiner                     text_halves_, reasoning_halves_;
    bool                                marked_ = false;  // the chunk under way has marks for surrogates
    ServerCalls                         calls_;
    Json                                extra_ = Json::object();  // fields of the message that only the server knows
    std::string                         finish_reason_;
    std::string unknown_;  // the first chunk without an answer, or with a content that is not a text
    bool        answered_ = false;  // a chunk had a choice
    size_t      chunks_   = 0;
    Metrics     metrics_;
    std::optional<Clock::time_point> first_, last_;
};

}  // namespace luup
