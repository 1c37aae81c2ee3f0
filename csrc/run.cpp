#include "run.h"

#include <cerrno>
#include <chrono>

#if defined(_WIN32)
#    include <winsock2.h>
#else
#    include <sys/socket.h>
#    include <unistd.h>
#endif

namespace luup {

namespace {

// A byte into a socket or a pipe; if it is full, a byte is waiting there already.
void write_byte(intptr_t fd) {
    const char byte = 1;
#if defined(_WIN32)
    send(static_cast<SOCKET>(fd), &byte, 1, 0);
#else
#    if defined(MSG_NOSIGNAL)
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
#    else
    const int flags = MSG_DONTWAIT;
#    endif
    if (send(static_cast<int>(fd), &byte, 1, flags) < 0 && errno == ENOTSOCK) {
        const ssize_t written = write(static_cast<int>(fd), &byte, 1);
        (void) written;
    }
#endif
}

// Waits until `ready`, for up to `timeout_ms`; -1 = as long as it takes.
template <typename Ready>
void wait_for(std::condition_variable & changed, std::unique_lock<std::mutex> & lock, int32_t timeout_ms, Ready ready) {
    if (timeout_ms < 0) {
        changed.wait(lock, ready);
    } else if (timeout_ms > 0) {
        changed.wait_for(lock, std::chrono::milliseconds(timeout_ms), ready);
    }
}

std::vector<std::string> joined(std::vector<std::string> a, const std::vector<std::string> & b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

}  // namespace

Run::Run(std::shared_ptr<Agent> agent, std::optional<Message> message, Prompt rendered, const Sampling & s, int64_t timeout_ms)
    : agent_(std::move(agent)),
      message_(std::move(message)),
      preserved_(rendered.preserved.begin(), rendered.preserved.end()),
      stop_(joined(s.stop, rendered.stops)),
      parser_(rendered.parser) {
    prompt       = std::move(rendered.tokens);
    sampling     = s;
    owner        = agent_->id();
    answer_.role = "assistant";
    if (timeout_ms >= 0) {
        deadline = submitted + std::chrono::milliseconds(timeout_ms);
    }
}

void Run::on_progress(int32_t done, int32_t total) {
    push({ LUUP_EVENT_PROGRESS, "", done, total });
}

bool Run::on_token(llama_token token) {
    const std::string text = stop_.push(utf8_.push(token_bytes(agent_->vocab(), token, preserved_.count(token) > 0)));
    push_delta(parser_.push(text));
    return !stop_.stopped();
}

void Run::on_end(luup_finish_reason reason, const Failure & failure, const Metrics & metrics) {
    std::string rest = stop_.push(utf8_.finish());
    if (!stop_.stopped()) {
        rest += stop_.finish();
    }
    push_delta(parser_.push(rest));
    push_delta(parser_.finish());
    finish(reason, failure, metrics);
}

void Run::push_delta(const AnswerParser::Delta & delta) {
    if (!delta.reasoning.empty()) {
        push({ LUUP_EVENT_REASONING, delta.reasoning });
    }
    if (!delta.text.empty()) {
        push({ LUUP_EVENT_TEXT, delta.text });
    }
}

// Text joins the text before it, and a newer progress replaces an older one: a slow reader finds little to read.
void Run::push(Event event) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (ended_) {
        return;
    }
    if (event.type == LUUP_EVENT_TEXT) {
        answer_.content += event.text;
    } else if (event.type == LUUP_EVENT_REASONING) {
        answer_.reasoning += event.text;
    }
    const bool waiting = !events_.empty();
    if (waiting && events_.back().type == event.type) {
        Event & last = events_.back();
        last.text += event.text;
        last.done  = event.done;
        last.total = event.total;
        return;
    }
    events_.push_back(std::move(event));
    if (!waiting) {
        ready_.notify_all();
        if (wakeup_fd_ >= 0) {
            write_byte(wakeup_fd_);
        }
    }
}

// The first end counts: a run that was cancelled stays cancelled, whatever the engine says later.
void Run::finish(luup_finish_reason reason, const Failure & failure, const Metrics & metrics) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (ended_) {
        return;
    }
    ended_   = true;
    reason_  = reason;
    failure_ = failure;
    metrics_ = metrics;
    agent_->on_run_end(failure.code == LUUP_SUCCESS, message_, answer_);
    const bool waiting = !events_.empty();
    events_.push_back({ failure.code == LUUP_SUCCESS ? LUUP_EVENT_DONE : LUUP_EVENT_ERROR, failure.message });
    ready_.notify_all();
    over_.notify_all();
    if (!waiting && wakeup_fd_ >= 0) {
        write_byte(wakeup_fd_);
    }
}

void Run::next(int32_t timeout_ms, luup_event * event) {
    std::unique_lock<std::mutex> lock(mutex_);
    wait_for(ready_, lock, timeout_ms, [&] { return !events_.empty() || ended_; });
    current_ = { LUUP_EVENT_NONE, "" };
    if (!events_.empty()) {
        current_ = std::move(events_.front());
        events_.pop_front();
    }
    *event                = {};
    event->type           = current_.type;
    event->text           = current_.text.c_str();
    event->text_length    = current_.text.size();
    event->progress_done  = current_.done;
    event->progress_total = current_.total;
    if (current_.type >= LUUP_EVENT_DONE) {
        event->error               = failure_.code;
        event->finish_reason       = reason_;
        event->prompt_tokens       = metrics_.prompt_tokens;
        event->cached_tokens       = metrics_.cached_tokens;
        event->answer_tokens       = metrics_.answer_tokens;
        event->queue_seconds       = metrics_.queue_seconds;
        event->prefill_seconds     = metrics_.prefill_seconds;
        event->decode_seconds      = metrics_.decode_seconds;
        event->first_token_seconds = metrics_.first_token_seconds;
        event->total_seconds       = metrics_.total_seconds;
    }
}

bool Run::wait(int32_t timeout_ms) {
    std::unique_lock<std::mutex> lock(mutex_);
    wait_for(over_, lock, timeout_ms, [&] { return ended_; });
    return ended_;
}

void Run::set_wakeup_fd(intptr_t fd) {
    std::lock_guard<std::mutex> lock(mutex_);
    wakeup_fd_ = fd;
    if (fd >= 0 && !events_.empty()) {
        write_byte(fd);
    }
}

void Run::cancel() {
    cancelled.store(true, std::memory_order_release);
    Metrics metrics;
    metrics.prompt_tokens = static_cast<int32_t>(prompt.size());
    metrics.total_seconds = std::chrono::duration<double>(Clock::now() - submitted).count();
    finish(LUUP_FINISH_NONE, { LUUP_ERROR_CANCELLED, "the run was cancelled" }, metrics);
    agent_->model().engine().interrupt();
}

}  // namespace luup
