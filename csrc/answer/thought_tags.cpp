#include "answer/thought_tags.h"

#include "base/text.h"

#include <algorithm>
#include <string_view>

namespace luup {

namespace {

struct TagPair {
    std::string_view open, close;
};

// The marks of reasoning in a content from which the server does not take it out.
constexpr TagPair tag_pairs[] = {
    { "<think>", "</think>" },
    { "<thinking>", "</thinking>" },
    { "<thought>", "</thought>" },
    { "[THINK]", "[/THINK]" },
};

constexpr const char * spaces = " \t\r\n";

size_t skip_spaces(const std::string & text) {
    return std::min(text.find_first_not_of(spaces), text.size());
}

}  // namespace

ThoughtTags::Delta ThoughtTags::push(const std::string & piece) {
    Delta delta;
    if (state_ == State::Text || (off_ && state_ == State::Start && held_.empty())) {
        delta.text = piece;
        return delta;
    }
    held_ += piece;
    if (state_ == State::Start) {
        begin();
    }
    if (state_ == State::Inside) {
        read_thoughts(delta);
    }
    if (state_ == State::Behind) {
        held_.erase(0, skip_spaces(held_));
        state_ = held_.empty() ? State::Behind : State::Text;
    }
    if (state_ == State::Text) {
        delta.text += held_;
        held_.clear();
    }
    return delta;
}

// Decides whether the content begins with a tag, once enough of it has come.
void ThoughtTags::begin() {
    const size_t           first = skip_spaces(held_);
    const std::string_view text  = std::string_view(held_).substr(first);
    for (size_t i = 0; i < std::size(tag_pairs) && !off_; i++) {
        const std::string_view open = tag_pairs[i].open;
        if (text.substr(0, open.size()) == open) {
            tag_   = i;
            state_ = State::Inside;
            held_.erase(0, first + open.size());
            return;
        }
        if (open.substr(0, text.size()) == text) {
            return;  // it may still become a tag
        }
    }
    for (size_t i = 0; i < std::size(tag_pairs) && !off_; i++) {  // the template has opened the thoughts
        const size_t close = held_.find(tag_pairs[i].close);
        if (close != std::string::npos) {
            tag_   = i;
            state_ = State::Inside;
            return;
        }
    }
    state_ = State::Text;
}

void ThoughtTags::read_thoughts(Delta & delta) {
    if (!spoke_) {
        held_.erase(0, skip_spaces(held_));
    }
    const std::string_view close = tag_pairs[tag_].close;
    const size_t           end   = held_.find(close);
    size_t                 cut   = std::min(end, held_.size());
    if (end == std::string::npos) {  // hold back what may be the beginning of the tag
        const size_t longest = std::min(held_.size(), close.size() - 1);
        for (size_t length = longest; length > 0; length--) {
            if (ends_with(held_, close.substr(0, length))) {
                cut = held_.size() - length;
                break;
            }
        }
    }
    size_t shown = cut;
    while (shown > 0 && std::string_view(spaces).find(held_[shown - 1]) != std::string_view::npos) {
        shown--;
    }
    delta.reasoning += held_.substr(0, shown);
    spoke_ = spoke_ || shown > 0;
    if (end == std::string::npos) {
        held_.erase(0, shown);
    } else {
        held_.erase(0, end + close.size());
        state_ = State::Behind;
    }
}

ThoughtTags::Delta ThoughtTags::finish() {
    Delta delta;
    (state_ == State::Inside ? delta.reasoning : delta.text) = state_ == State::Behind ? "" : held_;
    held_.clear();
    return delta;
}

}  // namespace luup
