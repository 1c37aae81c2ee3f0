// The form of messages that one server accepts: chosen by the program, or found out by the server's errors.
#pragma once

#include <mutex>
#include <string>
#include <vector>

namespace luup {

// The type of response_format that requests a typed result.
enum class ResponseFormat { JsonSchema, JsonObject, None };

// Which of a server's own fields (its reasoning, and fields that the API does not define) go back in its messages.
// Auto: all, and the reasoning of turns with tool calls; fewer once the server refuses them.
enum class FieldsBack { Auto, All, None };

// The content of a message that has tool calls and no text. Auto: null, or another one once the server refuses it.
enum class EmptyContent { Auto, Null, Text, Absent };

// How a request was written, so that its refusal can be understood.
struct RequestForm {
    bool                     format        = false;       // it asks for a typed result
    bool                     fields        = true;        // a message's own fields are sent
    bool                     all_reasoning = false;  // also that of turns without calls
    std::string              reasoning;            // the field for the reasoning; "": none is sent
    EmptyContent             content = EmptyContent::Null;
    std::vector<std::string> sent;                 // the names of the fields that were sent
    bool                     sent_reasoning = false;
    bool                     sent_empty     = false;  // a message had calls and no text
};

// Any thread may call the methods.
class ServerHabits {
  public:
    ServerHabits(ResponseFormat format, FieldsBack fields, EmptyContent content);

    ResponseFormat format() const { return format_; }

    // Whether the server accepts response_format, as far as is known.
    bool takes_format() const;

    // The form of the next request, without the names of its fields.
    RequestForm form() const;

    // An answer had its reasoning in `field`.
    void saw_reasoning(const std::string & field);

    // The server refused a request of the form `sent`, with these words. Returns whether another form may succeed,
    // which form() then returns.
    bool learn(const RequestForm & sent, const std::string & words);

  private:
    bool learn_fields(const RequestForm & sent, const std::string & words);
    bool learn_content(const RequestForm & sent, const std::string & words);

    const ResponseFormat format_;
    const FieldsBack     fields_;
    const EmptyContent   content_;
    mutable std::mutex   mutex_;
    bool                 format_refused_    = false;
    bool                 fields_refused_    = false;
    bool                 reasoning_refused_ = false;
    bool                 reasoning_wanted_  = false;
    std::string          reasoning_field_;  // that the server uses; "": none was seen
    size_t               content_tried_ = 0;  // the index of the form of empty content in use
};

}  // namespace luup
