// UTF-8: validation, code points, and streams of bytes that split characters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace luup {

// Returns whether `text` ends with `end`.
inline bool ends_with(std::string_view text, std::string_view end) {
    return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// Returns the index of the first byte that is not valid UTF-8 (overlong forms and surrogates are invalid), or npos.
size_t utf8_find_invalid(std::string_view text);

// Returns the greatest length <= `limit` at which `text` can be cut without splitting a character.
size_t utf8_prefix(std::string_view text, size_t limit);

// Returns `text` with every byte that is not part of a valid character replaced by U+FFFD.
std::string utf8_sanitize(std::string_view text);

// Return the code points of `text`, or their number. `text` must be valid UTF-8.
std::vector<uint32_t> code_points(std::string_view text);
size_t                count_code_points(std::string_view text);

// Joins the bytes of tokens to whole characters: an incomplete one at the end waits for the next piece.
class Utf8Stream {
  public:
    // Appends `bytes` and returns the complete characters; invalid bytes become U+FFFD.
    std::string push(std::string_view bytes);

    // Returns the rest at the end of the stream: U+FFFD for an incomplete character.
    std::string finish();

  private:
    std::string pending_;
};

}  // namespace luup
