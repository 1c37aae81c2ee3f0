// The part of the engine that other threads touch.
#include "engine/inbox.h"
#include "check.h"

#include <memory>
#include <thread>
#include <vector>

using namespace luup;

namespace {

class Nothing : public Completion {
  public:
    void on_progress(int32_t, int32_t) override {}
    bool on_token(llama_token) override { return true; }
    void on_end(luup_finish_reason, const Failure &, const Metrics &) override {}
};

luup_error code_of(Inbox & inbox, const std::shared_ptr<Completion> & completion) {
    try {
        inbox.submit(completion);
    } catch (const Error & error) {
        return error.code();
    }
    return LUUP_SUCCESS;
}

} // namespace

CASE(only_so_many_completions_may_wait) {
    Inbox inbox(1, 1);
    CHECK(code_of(inbox, std::make_shared<Nothing>()) == LUUP_SUCCESS); // the sequence is free for it
    CHECK(code_of(inbox, std::make_shared<Nothing>()) == LUUP_SUCCESS); // it waits
    CHECK(code_of(inbox, std::make_shared<Nothing>()) == LUUP_ERROR_BUSY);
    const auto later = std::make_shared<Nothing>();
    later->admitted  = true;
    CHECK(code_of(inbox, later) == LUUP_SUCCESS);
    CHECK(inbox.stats().runs_waiting == 3);
    CHECK(inbox.wait(false));
    CHECK(inbox.take_completion() && inbox.take_completion());
    CHECK(inbox.take_completion() == later && !inbox.take_completion());
    luup_model_stats stats = {};
    stats.runs_active      = 1;
    inbox.publish(stats);
    CHECK(code_of(inbox, std::make_shared<Nothing>()) == LUUP_SUCCESS);
    CHECK(code_of(inbox, std::make_shared<Nothing>()) == LUUP_ERROR_BUSY);
    CHECK(inbox.stats().runs_waiting == 1);
}

CASE(tasks_come_out_in_order) {
    Inbox            inbox(-1, 1);
    std::vector<int> done;
    for (int i = 0; i < 3; i++) {
        CHECK(inbox.post([&done, i] { done.push_back(i); }));
    }
    CHECK(inbox.wait(false)); // does not sleep
    while (const Inbox::Task task = inbox.take_task()) {
        task();
    }
    CHECK((done == std::vector<int>{ 0, 1, 2 }));
}

CASE(closing_wakes_the_thread_and_takes_nothing_in) {
    Inbox       inbox(-1, 1);
    bool        open = true;
    std::thread waiting([&] { open = inbox.wait(false); });
    CHECK(code_of(inbox, std::make_shared<Nothing>()) == LUUP_SUCCESS);
    waiting.join();
    CHECK(open && inbox.take_completion() && !inbox.take_completion());
    const uint64_t interrupts = inbox.interrupts();
    std::thread    last([&] { open = inbox.wait(false); });
    inbox.close();
    last.join();
    CHECK(!open && inbox.closing() && inbox.interrupts() > interrupts);
    CHECK(!inbox.post([] {}));
    CHECK(code_of(inbox, std::make_shared<Nothing>()) == LUUP_ERROR_CLOSED);
}
