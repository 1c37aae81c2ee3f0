// JSON: the only place where the core parses it, with limits on what a stranger's text may ask for.
#pragma once

#include <nlohmann/json.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace luup {

using Json = nlohmann::ordered_json;  // objects keep the order of their properties

namespace json_limits {

// Brackets inside each other. Fewer than the 200 that pydantic reads. Code that visits a value calls itself once a
// level, also on threads with small stacks.
constexpr size_t depth = 192;

constexpr size_t bytes = size_t(256) << 20;  // of one text

}  // namespace json_limits

// Returns the value of a JSON text. Throws Error(LUUP_ERROR_JSON_PARSE_FAILED) if the text is not JSON or beyond the
// limits: `subject` is what the message calls the text, such as "the history".
Json read_json(std::string_view text, const std::string & subject);

// Like read_json, but returns a discarded value instead of an exception, and the error in `problem` if it is given:
// "is not valid JSON: …", "is nested too deeply: …".
Json try_read_json(std::string_view text, std::string * problem = nullptr);

// Reports the parts of a JSON text to `visitor`, without making a value of them: numbers come with their digits.
// Returns whether the text is JSON within the limits, and the visitor has stopped nowhere.
bool visit_json(std::string_view text, Json::json_sax_t & visitor);

// Follows the brackets of a JSON text, character by character. Those in strings don't count.
class JsonBrackets {
  public:
    // Returns how many are open after `c`.
    size_t read(char c) {
        if (in_string_) {
            in_string_ = escaped_ || c != '"';
            escaped_   = !escaped_ && c == '\\';
        } else if (c == '"') {
            in_string_ = true;
        } else if (c == '{' || c == '[') {
            open_++;
        } else if ((c == '}' || c == ']') && open_ > 0) {
            open_--;
        }
        return open_;
    }

  private:
    size_t open_      = 0;
    bool   in_string_ = false, escaped_ = false;
};

// Returns whether a text has more than `depth` brackets inside each other.
bool is_nested_too_deeply(std::string_view text, size_t depth = json_limits::depth);

// Returns whether `c` is white space between the tokens of JSON.
inline bool is_json_space(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

}  // namespace luup
