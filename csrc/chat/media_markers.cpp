#include "chat/media_markers.h"

#include "base/error.h"
#include "media/encoder.h"

#include <algorithm>

namespace luup {

namespace {

// Returns a text that is in no message.
std::string unused_marker(const std::vector<Message> & messages) {
    for (int i = 0;; i++) {
        std::string marker = "[luup-media-" + std::to_string(i) + "-";
        if (std::none_of(messages.begin(), messages.end(),
                         [&](const Message & m) { return m.content.find(marker) != std::string::npos; })) {
            return marker;
        }
    }
}

}  // namespace

MediaMarkers::MediaMarkers(const std::vector<Message> & messages, const MediaEncoder * encoder) : given_(messages) {
    if (std::all_of(messages.begin(), messages.end(), [](const Message & m) { return m.attachments.empty(); })) {
        return;
    }
    if (!encoder) {
        fail(LUUP_ERROR_UNSUPPORTED,
             "the conversation has pictures or sounds, and the model was loaded without a projector: give the file of "
             "its encoder as mmproj, as in Model.from_local(path, mmproj=\"mmproj.gguf\")");
    }
    begin_  = unused_marker(messages);
    marked_ = messages;
    for (Message & message : marked_) {
        size_t inserted = 0;
        for (const Attachment & each : message.attachments) {
            const std::string text = marker(files_.size());
            message.content.insert(each.offset + inserted, text);
            inserted += text.size();
            files_.push_back(each.file);
        }
        message.attachments.clear();
    }
}

std::vector<MediaMarkers::Part> MediaMarkers::split(const std::string & prompt) const {
    std::vector<Part> parts;
    size_t            at = 0;
    for (size_t i = 0; i < files_.size(); i++) {
        const std::string text  = marker(i);
        const size_t      found = prompt.find(text, at);
        if (found == std::string::npos || prompt.find(begin_, at) != found) {
            fail(LUUP_ERROR_CHAT_TEMPLATE, "the chat template leaves out pictures or sounds, or changes their order");
        }
        parts.push_back({ prompt.substr(at, found - at), files_[i] });
        at = found + text.size();
    }
    if (!files_.empty() && prompt.find(begin_, at) != std::string::npos) {
        fail(LUUP_ERROR_CHAT_TEMPLATE, "the chat template repeats pictures or sounds");
    }
    parts.push_back({ files_.empty() ? prompt : prompt.substr(at), nullptr });
    return parts;
}

}  // namespace luup
