#include "agent/event_queue.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace luup {

namespace {

// A thread that reads text is woken for more of it no sooner than after this: each wakeup costs a model that has
// decoded two tokens by then a twentieth of its speed. A reader that waits on a descriptor is woken every time.
constexpr std::chrono::milliseconds text_pause{ 5 };

// Whether neighbouring events of this type are joined: more of them follow soon.
bool is_piece(luup_event_type type) {
    return type <= LUUP_EVENT_PROGRESS;
}

}  // namespace

Event Event::progress(int32_t done, int32_t total) {
    Event event = { LUUP_EVENT_PROGRESS, "" };
    event.done  = done;
    event.total = total;
    return event;
}

Event Event::summarized(const std::string & summary, int32_t replaced, int32_t messages) {
    Event event = { LUUP_EVENT_SUMMARIZED, summary };
    event.done  = replaced;
    event.total = messages;
    return event;
}

Event Event::tool_call(const ToolCall & call, size_t calls_left) {
    Event event      = { LUUP_EVENT_TOOL_CALL, call.arguments };
    event.call_id    = call.id;
    event.tool_name  = call.name;
    event.calls_left = static_cast<int32_t>(calls_left);
    return event;
}

Event Event::tool_result(const ToolCall & call, const std::string & text, bool is_error) {
    Event event     = { LUUP_EVENT_TOOL_RESULT, text };
    event.call_id   = call.id;
    event.tool_name = call.name;
    event.arguments = call.arguments;
    event.is_error  = is_error;
    return event;
}

Event Event::refused_call(const ToolCall & call, const std::string & reason) {
    Event event   = tool_result(call, reason, true);
    event.refused = true;
    return event;
}

Event Event::completion_request(const std::string & body, size_t model_index) {
    Event event       = { LUUP_EVENT_COMPLETION_REQUEST, body };
    event.model_index = static_cast<int32_t>(model_index);
    return event;
}

void Event::write(luup_event & event) const {
    event                   = {};
    event.type              = type;
    event.text              = text.c_str();
    event.text_length       = text.size();
    event.progress_done     = done;
    event.progress_total    = total;
    event.prompt_tokens     = counts.prompt_tokens;
    event.cached_tokens     = counts.cached_tokens;
    event.recomputed_tokens = counts.recomputed_tokens;
    event.answer_tokens     = counts.answer_tokens;
    event.reasoning_tokens  = counts.thought_tokens;
    event.call_id           = call_id.c_str();
    event.tool_name         = tool_name.c_str();
    event.calls_left        = calls_left;
    event.arguments         = arguments.c_str();
    event.is_error          = is_error;
    event.refused           = refused;
    event.turns             = turns;
    event.model_index       = model_index;
    event.confidence        = "";
    event.logprobs          = logprobs.c_str();
}

void EventQueue::push(Event event) {
    const bool piece = is_piece(event.type);
    if (piece && !events_.empty() && events_.back().type == event.type) {
        Event & last = events_.back();
        last.text += event.text;
        last.logprobs += (last.logprobs.empty() || event.logprobs.empty() ? "" : ",") + event.logprobs;
        last.done   = event.done;
        last.total  = event.total;
        last.counts = event.counts;
        return;
    }
    const bool waiting   = !events_.empty();
    const bool signalled = waker_ && has_signal();
    const bool quiet     = event.type == LUUP_EVENT_TEXT && wakeup_fd_ < 0 && !waker_ && Clock::now() < quiet_until_;
    refusals_ += event.refused;
    events_.push_back(std::move(event));
    if (!waiting && !quiet) {
        wake_threads();
    }
    if (waker_ && !signalled && (for_text_ || !piece)) {
        waker_->signal(tag_, piece);
    }
}

// Whether the waker was signalled for the events that wait.
bool EventQueue::has_signal() const {
    return for_text_ ? !events_.empty()
                     : std::any_of(events_.begin(), events_.end(), [](const Event & e) { return !is_piece(e.type); });
}

const Event & EventQueue::pop() {
    current_ = Event();
    if (!events_.empty()) {
        current_ = std::move(events_.front());
        events_.pop_front();
        refusals_ -= current_.refused;
        if (!current_.logprobs.empty()) {
            current_.logprobs = "[" + current_.logprobs + "]";
        }
        if (current_.type == LUUP_EVENT_TEXT) {
            quiet_until_ = Clock::now() + text_pause;
        }
    }
    return current_;
}

void EventQueue::wake() {
    wake_threads();
    if (waker_) {
        waker_->signal(tag_, false);
    }
}

void EventQueue::wake_threads() {
    ready_.notify_all();
    if (wakeup_fd_ >= 0) {
        write_wakeup(wakeup_fd_);
    }
}

void EventQueue::set_wakeup_fd(intptr_t fd, bool pending) {
    wakeup_fd_ = fd;
    if (fd >= 0 && (!events_.empty() || pending)) {
        write_wakeup(fd);
    }
}

void EventQueue::set_waker(std::shared_ptr<Waker> waker, uint64_t tag, bool for_text, bool pending) {
    waker_    = std::move(waker);
    tag_      = tag;
    for_text_ = for_text || !waker_;
    if (waker_ && (has_signal() || pending)) {
        waker_->signal(tag_, false);
    }
}

}  // namespace luup
