#include "agent/summarizer.h"

#include "base/text.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

namespace luup {

namespace {

constexpr char request[] = "Summarize our conversation so far.";  // comes before the summary in the history

// The longest summary: a tenth of the context, within these bounds, in tokens.
constexpr int32_t part_of_context = 10;
constexpr int32_t most_room       = 512;
constexpr int32_t least_room      = 32;

constexpr size_t least_piece   = 32;  // tokens of the conversation in one step
constexpr size_t template_room = 64;  // tokens of the instructions and the template

std::string line_of(const Message & m) {
    std::string text = m.role == "tool" ? "tool " + m.tool_name : m.role;
    text += ": " + m.content;
    for (const Attachment & each : m.attachments) {
        text += each.file->kind == MediaKind::Image ? " [a picture]" : " [a sound]";
    }
    for (const ToolCall & call : m.tool_calls) {
        text += " [calls " + call.name + " with " + call.arguments + "]";
    }
    return text + "\n";
}

}  // namespace

std::vector<size_t> possible_cuts(const std::vector<Message> & history, float keep, bool all) {
    std::vector<size_t> cuts;
    for (size_t i = 1; i < history.size(); i++) {
        if (history[i].role == "user") {
            cuts.push_back(i);
        }
    }
    if (all && !history.empty()) {
        cuts.push_back(history.size());
    }
    // The last cut that keeps enough messages comes first.
    const double most = std::floor(static_cast<double>(history.size()) * (1 - static_cast<double>(keep)) + 1e-6);
    const auto   beyond =
        std::find_if(cuts.begin(), cuts.end(), [&](size_t cut) { return static_cast<double>(cut) > most; });
    if (beyond != cuts.begin()) {
        cuts.erase(cuts.begin(), beyond - 1);
    }
    return cuts;
}

std::vector<Message> summary_messages(const std::string & summary) {
    return { Message::user(request), Message::assistant(summary) };
}

int32_t Summarizer::room_for_summary(int32_t context) {
    return std::max(least_room, std::min(most_room, context / part_of_context));
}

Summarizer::Summarizer(std::vector<Message> old, int32_t context,
                       const std::function<size_t(const std::string & text)> & count)
    : old_(std::move(old)), max_tokens_(room_for_summary(context)) {
    // The prompt of a step also holds the summary so far. A tenth of the context stays free, because a text may
    // have more tokens than its parts counted apart.
    const size_t room   = static_cast<size_t>(context) * 9 / 10;
    const size_t others = 2 * static_cast<size_t>(max_tokens_) + template_room;
    const size_t limit  = room > others + least_piece ? room - others : least_piece;
    size_t       used   = limit;
    for (const Message & message : old_) {
        std::string line = line_of(message);
        while (!line.empty()) {
            size_t bytes = line.size();
            size_t n     = count(line);
            while (n > limit) {  // a message for several steps
                bytes = std::max<size_t>(utf8_prefix(line, std::max<size_t>(bytes / 2, 4)), 1);
                n     = count(line.substr(0, bytes));
                if (bytes <= 4) {
                    break;
                }
            }
            if (used + n > limit) {
                pieces_.emplace_back();
                used = 0;
            }
            pieces_.back() += line.substr(0, bytes);
            used += n;
            line.erase(0, bytes);
        }
    }
}

std::vector<Message> Summarizer::prompt() const {
    std::string text;
    if (!summary_.empty()) {
        text = "The conversation until now, in short:\n" + summary_ + "\n\nIt went on like this:\n";
    } else {
        text = "This is a conversation of a user and an assistant:\n";
    }
    text += pieces_[next_];
    text += summary_.empty() ? "\nSummarize it" : "\nSummarize all of it";
    text += " in a few sentences. Keep names, numbers, dates, decisions and what is still to be done.";
    return { Message::user(text) };
}

void Summarizer::set_summary(const std::string & summary) {
    summary_ = summary;
    next_    = pieces_.size();
}

bool Summarizer::take(const std::string & summary) {
    const auto blank = [](unsigned char c) { return c <= ' '; };
    const auto begin = std::find_if_not(summary.begin(), summary.end(), blank);
    const auto end   = std::find_if_not(summary.rbegin(), std::make_reverse_iterator(begin), blank).base();
    if (begin == end) {
        return false;
    }
    summary_.assign(begin, end);
    next_++;
    return true;
}

}  // namespace luup
