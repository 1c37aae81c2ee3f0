#include "answer/server_habits.h"

#include <algorithm>
#include <cctype>
#include <initializer_list>
#include <iterator>

namespace luup {

namespace {

// In this order: most servers take the first.
constexpr EmptyContent empty_contents[] = { EmptyContent::Null, EmptyContent::Text, EmptyContent::Absent };

constexpr const char * usual_reasoning = "reasoning_content";

std::string lower_case(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
}

bool names(const std::string & words, const std::string & name) {
    return words.find(name) != std::string::npos;
}

bool names_any(const std::string & words, std::initializer_list<const char *> these) {
    return std::any_of(these.begin(), these.end(), [&](const char * one) { return names(words, one); });
}

// Whether `name` is in the words, but not as a part of a longer name.
bool names_alone(const std::string & words, const std::string & name) {
    const auto part = [&](size_t at) {
        return at < words.size() && (std::isalnum(static_cast<unsigned char>(words[at])) || words[at] == '_');
    };
    for (size_t at = words.find(name); at != std::string::npos; at = words.find(name, at + 1)) {
        if (!(at > 0 && part(at - 1)) && !part(at + name.size())) {
            return true;
        }
    }
    return false;
}

// Whether a refusal is about fields that the server does not know.
bool refuses_fields(const std::string & words) {
    return names_any(words, { "extra_forbidden", "extra inputs", "extra field", "additional propert", "unknown field",
                              "unknown name", "unknown parameter", "unknown key", "unrecognized", "unexpected",
                              "unsupported", "not supported", "not permitted", "not allowed", "not a valid",
                              "does not support", "cannot find field" });
}

bool demands(const std::string & words) {
    return names_any(words, { "must be", "missing", "required", "pass", "lack", "need", "expected" });
}

}  // namespace

ServerHabits::ServerHabits(ResponseFormat format, FieldsBack fields, EmptyContent content)
    : format_(format), fields_(fields), content_(content) {}

bool ServerHabits::takes_format() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return format_ != ResponseFormat::None && !format_refused_;
}

RequestForm ServerHabits::form() const {
    std::lock_guard<std::mutex> lock(mutex_);
    RequestForm                 form;
    const std::string           field = reasoning_field_.empty() ? usual_reasoning : reasoning_field_;
    form.fields                       = fields_ == FieldsBack::All || (fields_ == FieldsBack::Auto && !fields_refused_);
    form.all_reasoning                = fields_ == FieldsBack::All;
    if (fields_ == FieldsBack::All ||
        (fields_ == FieldsBack::Auto && !reasoning_refused_ && (reasoning_wanted_ || !reasoning_field_.empty()))) {
        form.reasoning = field;
    }
    form.content = content_ == EmptyContent::Auto ? empty_contents[content_tried_] : content_;
    return form;
}

void ServerHabits::saw_reasoning(const std::string & field) {
    std::lock_guard<std::mutex> lock(mutex_);
    reasoning_field_ = field;
}

bool ServerHabits::learn(const RequestForm & sent, const std::string & words) {
    const std::string           text = lower_case(words);
    std::lock_guard<std::mutex> lock(mutex_);
    if (sent.format && names_any(text, { "response_format", "json_schema", "json_object", "structured output" })) {
        format_refused_ = true;
        return true;
    }
    return learn_fields(sent, text) || learn_content(sent, text);
}

bool ServerHabits::learn_fields(const RequestForm & sent, const std::string & words) {
    if (fields_ != FieldsBack::Auto) {
        return false;
    }
    const bool about_reasoning = names_any(words, { "reasoning", "thinking", "thought" });
    const bool refused         = refuses_fields(words);
    if (about_reasoning && !sent.sent_reasoning && !reasoning_wanted_ && !refused && demands(words)) {
        reasoning_wanted_  = true;
        reasoning_refused_ = false;
        return true;
    }
    const bool by_name = std::any_of(sent.sent.begin(), sent.sent.end(),
                                     [&](const std::string & name) { return names(words, lower_case(name)); });
    if (sent.sent_reasoning && names(words, sent.reasoning)) {
        reasoning_refused_ = true;
        return !reasoning_wanted_ || refused;
    }
    const bool of_messages = refused && names(words, "message");
    if (!sent.sent.empty() && (by_name || of_messages)) {
        fields_refused_    = true;
        reasoning_refused_ = reasoning_refused_ || !by_name;
        return true;
    }
    if (sent.sent_reasoning && of_messages) {
        reasoning_refused_ = true;
        return true;
    }
    return false;
}

bool ServerHabits::learn_content(const RequestForm & sent, const std::string & words) {
    if (content_ != EmptyContent::Auto || !sent.sent_empty || content_tried_ + 1 >= std::size(empty_contents) ||
        !(names_alone(words, "content") ||
          names_any(words, { "text field", "text parameter", "non-empty", "not be empty" }))) {
        return false;
    }
    if (sent.content == empty_contents[content_tried_]) {
        content_tried_++;
    }
    return true;
}

}  // namespace luup
