// Finds the stop texts in the text of an answer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace luup {

// Cuts a stream of text before the first stop text, which may arrive in several pieces.
class StopFilter {
  public:
    explicit StopFilter(std::vector<std::string> stops);

    // Appends `text` and returns what can be shown: everything except an end that may become a stop text.
    std::string push(std::string_view text);

    // Returns what was held back, at the end of the stream.
    std::string finish();

    bool stopped() const { return stopped_; }

  private:
    std::vector<std::string> stops_;
    std::string              held_;
    bool                     stopped_ = false;
};

}  // namespace luup
