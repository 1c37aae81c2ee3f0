#include "answer/thoughts.h"

#include <algorithm>

namespace luup {

namespace {

// An end marker may end up to that many bytes before the end of the text: the token that completes it goes on.
constexpr size_t longest_overhang = 16;

}  // namespace

bool Thoughts::may_begin(const std::string & text, const std::string & more) const {
    const std::string & start = plan_.texts.start;
    const size_t        from  = start.find_first_not_of(" \n");
    const size_t        begin = more.find_first_not_of(" \n");
    return empty() && plan_.can_end() && from != std::string::npos && begin != std::string::npos &&
           more[begin] == start[from] && text.find_first_not_of(" \n") == std::string::npos;
}

bool Thoughts::begun(const std::string & text) const {
    const std::string & start = plan_.texts.start;
    const size_t        begin = std::min(text.find_first_not_of(" \n", begin_), text.size());
    return plan_.texts.open || text.size() - begin + start.find_first_not_of(" \n") > start.find_last_not_of(" \n");
}

bool Thoughts::must_end(const std::string & text) const {
    return plan_.max_tokens >= 0 && tokens_ >= plan_.max_tokens && plan_.can_end() && begun(text);
}

// Whether `text` differs from the marker that thoughts begin with. Blanks around either do not count.
bool Thoughts::strays(const std::string & text) const {
    const std::string & start = plan_.texts.start;
    const size_t        from  = std::min(start.find_first_not_of(" \n"), start.size());
    const size_t        begin = std::min(text.find_first_not_of(" \n", begin_), text.size());
    const size_t        size  = std::min(start.find_last_not_of(" \n") + 1 - from, text.size() - begin);
    return !plan_.texts.open && text.compare(begin, size, start, from, size) != 0;
}

Thoughts::Next Thoughts::add_token(const std::string & text, bool answer_ends) {
    if (strays(text)) {
        tokens_ = dictated_ = 0;
        return Next::NotThoughts;
    }
    tokens_++;
    for (const std::string & end : plan_.texts.ends) {
        const size_t from = text.size() - std::min(text.size() - begin_, end.size() + longest_overhang);
        if (text.find(end, from) != std::string::npos) {
            return Next::Ended;
        }
    }
    return must_end(text) || (answer_ends && plan_.can_end() && begun(text)) ? Next::MustEnd : Next::GoOn;
}

}  // namespace luup
