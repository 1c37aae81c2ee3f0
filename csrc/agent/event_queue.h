// The events of a run that wait for its caller.
#pragma once

#include "base/wakeup.h"
#include "chat/message.h"
#include "engine/engine.h"
#include "luup_agent.h"

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

namespace luup {

// A luup_event with its texts; see there for which fields belong to which type.
struct Event {
    luup_event_type type = LUUP_EVENT_NONE;
    std::string     text;
    int32_t         done        = 0;
    int32_t         total       = 0;
    std::string     call_id     = "";
    std::string     tool_name   = "";
    std::string     arguments   = "";
    std::string     logprobs    = "";  // JSON objects joined by commas; with brackets once it was popped
    int32_t         calls_left  = 0;
    bool            is_error    = false;
    bool            refused     = false;
    int32_t         turns       = 0;
    int32_t         model_index = 0;
    Metrics         counts      = {};  // of the run when the event came

    static Event progress(int32_t done, int32_t total);
    static Event summarized(const std::string & summary, int32_t replaced, int32_t messages);
    static Event tool_call(const ToolCall & call, size_t calls_left);
    static Event tool_result(const ToolCall & call, const std::string & text, bool is_error);
    static Event refused_call(const ToolCall & call, const std::string & reason);
    static Event completion_request(const std::string & body, size_t model_index);

    // Fills `event`, except for the fields of the run's end. The texts belong to this object.
    void write(luup_event & event) const;
};

// Invariants: two neighbours are never both text, both reasoning or both progress, so a slow reader finds little to
// read; and whenever an event arrives in an empty queue, the readers are woken, at once or when the pause after the
// last text is over.
//
// Not locked by itself: call every method with the run's mutex held.
class EventQueue {
  public:
    // Appends an event, or joins it to the last one.
    void push(Event event);

    // Removes the first event; one of type NONE if there is none. Valid until the next call.
    const Event & pop();

    bool empty() const { return events_.empty(); }

    // Whether the event of a refused call waits: the caller may want to end the run because of it.
    bool has_refusal() const { return refusals_ > 0; }

    // Wakes the threads that wait on ready(), writes to the wakeup descriptor, and signals the waker.
    void wake();

    // Wakes the threads only.
    void notify() { ready_.notify_all(); }

    // Signalled when an event waits or the run's state has changed; wait on it with the run's mutex.
    std::condition_variable & ready() { return ready_; }

    // When a thread that waits for text has to look again, even if it was not woken.
    Clock::time_point quiet_until() const { return quiet_until_; }

    // Writes a byte to `fd` at each wake(); -1 turns it off. `pending`: the caller has something to do already.
    void set_wakeup_fd(intptr_t fd, bool pending);

    // Signals `waker` with `tag` at each wake(); null turns it off. Without `for_text`, text, reasoning and progress do
    // not: they wait for another event.
    void set_waker(std::shared_ptr<Waker> waker, uint64_t tag, bool for_text, bool pending);

  private:
    void wake_threads();
    bool has_signal() const;

    std::condition_variable ready_;
    std::deque<Event>       events_;
    size_t                  refusals_ = 0;  // among events_
    Event                   current_;      // popped last; owns the texts that the caller reads
    Clock::time_point       quiet_until_;  // no thread is woken for text alone before this time
    intptr_t                wakeup_fd_ = -1;
    std::shared_ptr<Waker>  waker_;  // may be null
    uint64_t                tag_      = 0;  // for waker_
    bool                    for_text_ = true;  // waker_ is signalled for text, too
};

}  // namespace luup
