// Text that arrives in pieces: UTF-8 checks, whole characters out of token bytes, and stop texts.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace luup {

// The byte index of the first thing in `text` that is not valid UTF-8 (overlong forms and surrogates are not), or npos.
size_t utf8_find_invalid(std::string_view text);

// The longest length <= `limit` at which `text` can be cut without splitting a character.
size_t utf8_prefix(std::string_view text, size_t limit);

// `text` with every byte that is not part of a valid character replaced by U+FFFD.
std::string utf8_sanitize(std::string_view text);

// Makes whole characters out of token bytes: what ends in the middle of a character waits for the next piece.
class Utf8Stream {
  public:
    // Appends `bytes` and returns what is whole; bytes that can't become a character turn into U+FFFD.
    std::string push(std::string_view bytes);

    // What is left at the end of the stream.
    std::string finish();

  private:
    std::string pending_;
};

// Ends a text before the first stop text in it, also when that one comes in several pieces.
class StopFilter {
  public:
    explicit StopFilter(std::vector<std::string> stops);

    // Appends `text`; returns what can be shown: all but an ending that may yet become a stop text.
    std::string push(std::string_view text);

    // What was held back, at the end of the stream.
    std::string finish();

    bool stopped() const { return stopped_; }

  private:
    std::vector<std::string> stops_;
    std::string              held_;
    bool                     stopped_ = false;
};

}  // namespace luup
