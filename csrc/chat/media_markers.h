// Texts that stand for pictures and sounds while the chat template renders a prompt.
#pragma once

#include "chat/message.h"

#include <string>
#include <vector>

namespace luup {

class MediaEncoder;

class MediaMarkers {
  public:
    // Chooses markers that no text of `messages` contains. `messages` has to outlive this. Throws
    // Error(LUUP_ERROR_UNSUPPORTED) if there are pictures or sounds, and the model has no `encoder` for them.
    MediaMarkers(const std::vector<Message> & messages, const MediaEncoder * encoder);

    // The messages, with markers in place of attachments.
    const std::vector<Message> & messages() const { return files_.empty() ? given_ : marked_; }

    // A text of a rendered prompt, and the file behind it: none behind the last one.
    struct Part {
        std::string text;
        Media       file;
    };

    // Returns at least one part. Throws Error(LUUP_ERROR_CHAT_TEMPLATE) if the template has left out a file, or has
    // repeated one.
    std::vector<Part> split(const std::string & prompt) const;

  private:
    std::string marker(size_t i) const { return begin_ + std::to_string(i) + ";"; }

    const std::vector<Message> & given_;
    std::vector<Message>         marked_;
    std::vector<Media>           files_;
    std::string                  begin_;  // of each marker
};

}  // namespace luup
