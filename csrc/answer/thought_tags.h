// Takes the reasoning out of a text that begins with it, as in "<think>…</think>The answer".
#pragma once

#include <cstddef>
#include <string>

namespace luup {

class ThoughtTags {
  public:
    struct Delta {
        std::string reasoning, text;
    };

    // Appends a piece of the content, and returns what it adds. The beginning is held back until it can't become a tag.
    Delta push(const std::string & piece);

    // Returns what was held back, at the end.
    Delta finish();

    // From now on everything is text: the server sends the reasoning by itself.
    void turn_off() { off_ = true; }

  private:
    enum class State { Start, Inside, Behind, Text };

    void begin();
    void read_thoughts(Delta & delta);

    State       state_ = State::Start;
    bool        off_   = false;
    bool        spoke_ = false;  // some reasoning has come
    size_t      tag_   = 0;      // the pair of tags, while inside
    std::string held_;
};

}  // namespace luup
