// Code that is tried in a child process first.
#include "check.h"
#include "base/child_trial.h"

#include "ggml.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>

using namespace luup;

CASE(children_pay_for_crashes_and_hangs) {
    const TrialLimits limits = { 5, 64 << 20 };
    CHECK(try_in_child([] {}, limits).empty());
    CHECK(try_in_child([] { throw std::runtime_error("a reason"); }, limits) == "a reason");
    CHECK(try_in_child([] { throw 1; }, limits) == "an exception of unknown type");
    CHECK(try_in_child([] { std::abort(); }, limits) == "it ends the process with signal 6");
    CHECK(try_in_child([] { GGML_ABORT("last words"); }, limits).find("last words") != std::string::npos);
    CHECK(try_in_child([] { std::raise(SIGSEGV); }, limits) == "it ends the process with signal 11");
    CHECK(try_in_child(
              [] {
                  for (volatile unsigned i = 0;; i = i + 1) {
                  }
              },
              { 1, 64 << 20 }) == "it takes more than 1 seconds");
    // One that gets no processor says nothing about the task.
    TrialEnd end = TrialEnd::Passed;
    CHECK(try_in_child([] { std::this_thread::sleep_for(std::chrono::minutes(1)); }, { 0.2, 64 << 20 }, &end).empty() &&
          end == TrialEnd::NotTried);
#if !defined(__SANITIZE_ADDRESS__)  // which ends the process itself then
    CHECK(try_in_child([] { std::string(1u << 30, 'x').back() = 'y'; }, limits) == "it needs too much memory");
#endif
}
