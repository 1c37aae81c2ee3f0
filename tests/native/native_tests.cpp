// Tests of the core's classes that need no model. Exits with 1 after the first failed check of each test.
#include "check.h"
#include "amx.h"
#include "drafts.h"
#include "error.h"
#include "logits.h"
#include "sampler.h"
#include "text.h"
#include "trial.h"

#include "ggml.h"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

using namespace luup;

namespace {

void utf8_finds_what_is_invalid() {
    CHECK(utf8_find_invalid("") == std::string_view::npos);
    CHECK(utf8_find_invalid("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80") == std::string_view::npos);
    CHECK(utf8_find_invalid("ab\x80") == 2);                // a lone continuation
    CHECK(utf8_find_invalid("\xC0\xAF") == 0);              // overlong
    CHECK(utf8_find_invalid("x\xED\xA0\x80") == 1);         // a surrogate
    CHECK(utf8_find_invalid("\xF4\x90\x80\x80") == 0);      // beyond U+10FFFF
    CHECK(utf8_find_invalid("a\xE2\x82") == 1);             // cut short
}

void utf8_stream_never_splits_a_character() {
    const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z";
    for (size_t first = 0; first <= text.size(); first++) {
        for (size_t second = first; second <= text.size(); second++) {
            Utf8Stream  stream;
            std::string whole;
            for (const std::string & piece : { text.substr(0, first), text.substr(first, second - first), text.substr(second) }) {
                const std::string out = stream.push(piece);
                CHECK(utf8_find_invalid(out) == std::string_view::npos);
                whole += out;
            }
            CHECK(whole + stream.finish() == text);
        }
    }
    Utf8Stream cut;
    CHECK(cut.push("a\xF0\x9F") == "a");
    CHECK(cut.finish() == "\xEF\xBF\xBD");
    CHECK(utf8_sanitize("a\xFF"
                        "b") ==
          "a\xEF\xBF\xBD"
          "b");
}

void stop_filter_holds_back_what_may_become_a_stop() {
    const std::string text = "Hello, END of ENDING";
    for (size_t cut = 0; cut <= text.size(); cut++) {
        StopFilter  filter({ "ENDI", "never" });
        std::string shown = filter.push(text.substr(0, cut));
        shown += filter.push(text.substr(cut));
        CHECK(filter.stopped());
        CHECK(shown + filter.finish() == "Hello, END of ");
    }
    StopFilter  none({ "ENDX" });
    std::string shown = none.push("the EN");
    CHECK(shown == "the ");
    shown += none.push("D");
    CHECK(shown + none.finish() == "the END");
    CHECK(!none.stopped());
}

void greedy_takes_the_first_of_the_best() {
    Sampling greedy;
    greedy.temperature = 0;
    for (int n : { 1, 15, 16, 17, 255, 256, 257, 1000 }) {
        for (int at = 0; at < n; at += 7) {
            std::vector<float> logits(n, -3.0f);
            logits[at] = 2.5f;
            CHECK(Sampler(greedy, n).sample(logits.data()) == at);
            logits[n - 1] = 2.5f;
            CHECK(Sampler(greedy, n).sample(logits.data()) == at);
        }
    }
    std::vector<float> bad(300, NAN);
    bool               refused = false;
    try {
        Sampler(greedy, 300).sample(bad.data());
    } catch (const Error & e) {
        refused = e.code() == LUUP_ERROR_INFERENCE_FAILED;
    }
    CHECK(refused);
}

void log_sum_exp_is_exact_enough() {
    std::mt19937 random(1);
    for (int n : { 1, 15, 16, 255, 256, 257, 1000 }) {
        for (float spread : { 0.0f, 1.0f, 10.0f, 100.0f }) {
            std::normal_distribution<float> near(5.0f, spread + 1e-6f);
            std::vector<float>              logits(n);
            for (float & logit : logits) {
                logit = near(random);
            }
            logits[n / 2] = n > 1 ? -INFINITY : logits[0];
            double max = -INFINITY, sum = 0;
            for (float logit : logits) {
                max = std::max<double>(max, logit);
            }
            for (float logit : logits) {
                sum += std::exp(logit - max);
            }
            CHECK(std::fabs(log_sum_exp(logits.data(), n) - (max + std::log(sum))) < 1e-6);
        }
    }
    const std::vector<float> none(20, -INFINITY);
    CHECK(log_sum_exp(none.data(), 20) == -INFINITY);
}

// Draws often and compares with the probabilities that the definition gives.
void sampling_follows_the_distribution() {
    const std::vector<float> row = { 1.0f, 2.0f, 0.0f, 3.0f, -1.0f };
    struct Case {
        float            temperature, top_p, min_p;
        int              top_k;
        std::vector<int> possible;
    };
    const std::vector<Case> cases = {
        { 1.0f, 1.0f, 0.0f, 0, { 0, 1, 2, 3, 4 } },
        { 1.0f, 1.0f, 0.0f, 2, { 1, 3 } },
        { 1.0f, 0.6f, 0.0f, 0, { 3 } },            // 3 alone has 0.64
        { 1.0f, 0.7f, 0.0f, 0, { 1, 3 } },
        { 1.0f, 1.0f, 0.2f, 0, { 1, 3 } },         // e^-1 = 0.37 of the best, e^-2 = 0.14
        { 0.5f, 1.0f, 0.0f, 3, { 0, 1, 3 } },
    };
    for (const Case & c : cases) {
        Sampling s;
        s.temperature = c.temperature;
        s.top_p       = c.top_p;
        s.min_p       = c.min_p;
        s.top_k       = c.top_k;
        s.seed        = 42;
        Sampler            sampler(s, static_cast<int>(row.size()));
        std::map<int, int> counts;
        const int          draws = 20000;
        for (int i = 0; i < draws; i++) {
            std::vector<float> logits = row;
            counts[sampler.sample(logits.data())]++;
        }
        double sum = 0;
        for (int t : c.possible) {
            sum += std::exp(row[t] / c.temperature);
        }
        int total = 0;
        for (int t : c.possible) {
            CHECK(std::fabs(counts[t] / double(draws) - std::exp(row[t] / c.temperature) / sum) < 0.015);
            total += counts[t];
        }
        CHECK(total == draws);
    }
}

void penalty_makes_repeated_tokens_less_likely() {
    Sampling s;
    s.temperature    = 0;
    s.repeat_penalty = 2.0f;
    s.repeat_last_n  = 2;
    Sampler sampler(s, 3);
    sampler.accept(0);
    std::vector<float> logits = { 3.0f, 2.0f, -1.0f };
    CHECK(sampler.sample(logits.data()) == 1);
    CHECK(logits[0] == 1.5f);
    sampler.accept(1);
    sampler.accept(1);  // 0 is out of the window now
    logits = { 3.0f, 2.0f, -1.0f };
    CHECK(sampler.sample(logits.data()) == 0);
}

void drafts_are_what_followed_before() {
    PromptLookup             lookup;
    std::vector<llama_token> draft, text = { 1, 2, 3, 4, 5, 6, 1, 2, 3 };
    lookup.draft(text, 8, draft);
    CHECK((draft == std::vector<llama_token>{ 4, 5, 6, 1, 2, 3 }));
    text.push_back(4);
    lookup.draft(text, 2, draft);
    CHECK((draft == std::vector<llama_token>{ 5, 6 }));
    text.push_back(9);
    lookup.draft(text, 8, draft);
    CHECK(draft.empty());
    text = { 1, 2, 3, 7, 1, 2, 3 };  // what was behind is taken back
    lookup.draft(text, 8, draft);
    CHECK((draft == std::vector<llama_token>{ 7, 1, 2, 3 }));
    for (size_t n = 0; n < 4; n++) {
        PromptLookup().draft(std::vector<llama_token>(n, 1), 8, draft);
        CHECK(draft.empty());
    }
}

void drafts_are_checked_where_that_pays() {
    DecodeTimes times;
    DraftRecord record;
    CHECK(record.worth(8, 0, times) == 0);  // nothing is known yet
    times.record(1, 0.010);
    CHECK(record.worth(8, 0, times) == 8);  // more may cost nothing
    times.record(9, 0.090);
    CHECK(std::fabs(times.estimate(5) - 0.050) < 1e-9);
    CHECK(record.worth(8, 0, times) == 0);  // no: every token costs the same
    for (int i = 0; i < 50; i++) {
        times.record(9, 0.014);
    }
    CHECK(record.worth(8, 0, times) > 0);
    for (int i = 0; i < 60; i++) {
        record.record(0, 8);  // never right
    }
    CHECK(record.worth(8, 0, times) == 0);
    int others = 0;
    while (record.worth(8, 0, times) == 0) {
        CHECK(++others < 1000);  // but tried again
    }
    for (int i = 0; i < 60; i++) {
        record.record(8, 8);  // always right
    }
    CHECK(record.worth(8, 0, times) == 8);
    CHECK(record.worth(3, 0, times) == 3);
}

void children_pay_for_crashes_and_hangs() {
    const TrialLimits limits = { 5, 64 << 20 };
    CHECK(try_in_child([] {}, limits).empty());
    CHECK(try_in_child([] { throw std::runtime_error("a reason"); }, limits) == "a reason");
    CHECK(try_in_child([] { throw 1; }, limits) == "an exception of unknown type");
    CHECK(try_in_child([] { std::abort(); }, limits) == "it ends the process with signal 6");
    CHECK(try_in_child([] { GGML_ABORT("last words"); }, limits).find("last words") != std::string::npos);
    CHECK(try_in_child([] { std::raise(SIGSEGV); }, limits) == "it ends the process with signal 11");
    CHECK(try_in_child([] { for (volatile unsigned i = 0;; i = i + 1) {} }, { 1, 64 << 20 }) == "it takes more than 1 seconds");
#if !defined(__SANITIZE_ADDRESS__)  // which ends the process itself then
    CHECK(try_in_child([] { std::string(1u << 30, 'x').back() = 'y'; }, limits) == "it needs too much memory");
#endif
}

// On a machine without AMX the tiles' first instruction is illegal: the child dies of it, this process does not.
void amx_is_tried_where_it_can_do_no_harm() {
    const bool        works   = amx_try_tiles();
    const std::string missing = amx_missing();
    CHECK(works || !missing.empty());
    std::printf("  AMX: %s\n", missing.empty() ? "works" : missing.c_str());
}

void errors_have_names() {
    CHECK(std::string(luup_error_name(LUUP_ERROR_BUSY)) == "LUUP_ERROR_BUSY");
    CHECK(std::string(luup_error_name(-999)) == "LUUP_ERROR_UNKNOWN");
    try {
        fail(LUUP_ERROR_IO, "%d apples", 3);
    } catch (...) {
        const Failure failure = current_failure();
        CHECK(failure.code == LUUP_ERROR_IO && failure.message == "3 apples");
    }
}

}  // namespace

int main() {
    const std::vector<std::pair<const char *, std::function<void()>>> tests = {
        { "utf8_finds_what_is_invalid", utf8_finds_what_is_invalid },
        { "utf8_stream_never_splits_a_character", utf8_stream_never_splits_a_character },
        { "stop_filter_holds_back_what_may_become_a_stop", stop_filter_holds_back_what_may_become_a_stop },
        { "greedy_takes_the_first_of_the_best", greedy_takes_the_first_of_the_best },
        { "log_sum_exp_is_exact_enough", log_sum_exp_is_exact_enough },
        { "sampling_follows_the_distribution", sampling_follows_the_distribution },
        { "penalty_makes_repeated_tokens_less_likely", penalty_makes_repeated_tokens_less_likely },
        { "drafts_are_what_followed_before", drafts_are_what_followed_before },
        { "drafts_are_checked_where_that_pays", drafts_are_checked_where_that_pays },
        { "children_pay_for_crashes_and_hangs", children_pay_for_crashes_and_hangs },
        { "amx_is_tried_where_it_can_do_no_harm", amx_is_tried_where_it_can_do_no_harm },
        { "errors_have_names", errors_have_names },
    };
    return run_cases(tests);
}
