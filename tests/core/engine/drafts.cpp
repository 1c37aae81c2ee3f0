// Drafts from earlier text, and when they pay.
#include "check.h"
#include "engine/drafts.h"

#include <cmath>
#include <vector>

using namespace luup;

CASE(drafts_are_what_followed_before) {
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

CASE(drafts_are_checked_where_that_pays) {
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

// A busy machine interrupts a decode for as long as 30 take.
CASE(an_interrupted_decode_does_not_end_the_drafts) {
    for (double interruption : { 0.0, 0.3, 30.0 }) {
        DecodeTimes times;
        DraftRecord record;
        times.record(1, 0.010);
        for (size_t tokens = 2; tokens <= 9; tokens++) {
            times.record(tokens, 0.011 + interruption);
        }
        int plain = 0;
        while (record.worth(8, 0, times) == 0) {
            CHECK(++plain < 300);
            times.record(1, 0.010);
        }
        CHECK(interruption > 0 || plain == 0);
        size_t drafted = 0;
        for (int i = 0; i < 2000; i++) {  // the drafts are right, and tokens cost next to nothing
            const size_t tokens = record.worth(8, 0, times);
            times.record(tokens + 1, 0.010 + 0.0001 * static_cast<double>(tokens));
            record.record(tokens, tokens);
            drafted += tokens;
        }
        CHECK(drafted > 10000);
    }
}

CASE(drafts_that_do_not_pay_are_seldom_tried) {
    for (double cost : { 0.010, 0.005 }) {  // of a further token; a first one costs 0.010
        DecodeTimes times;
        DraftRecord record;
        double      spent = 0, plain = 0;
        for (int i = 0; i < 20000; i++) {
            const size_t tokens  = record.worth(8, 0, times);
            const double seconds = 0.010 + cost * static_cast<double>(tokens);
            times.record(tokens + 1, seconds);
            record.record(0, tokens);  // never right
            spent += seconds;
            plain += 0.010;
        }
        CHECK(spent < 1.03 * plain);
    }
}

CASE(drafts_that_take_time_to_make_have_to_save_more) {
    DecodeTimes times;
    for (size_t tokens = 1; tokens <= 9; tokens++) {
        times.record(tokens, 0.010 + 0.0001 * static_cast<double>(tokens));
    }
    DraftRecord record(0.9);
    double      gain = 0;
    CHECK(record.worth(8, 0, times, 0.0001, &gain) > 3);
    CHECK(gain > 0.5 && gain < 1);
    const size_t few = record.worth(8, 0, times, 0.004, &gain);
    CHECK(few > 0 && few < record.worth(8, 0, times, 0.0001));
    CHECK(record.worth(8, 0, times, 0.010, &gain) == 0);  // as long as the model itself takes
    CHECK(gain == 0);
}

CASE(guesses_of_a_new_answer_are_hoped_for_until_they_proved_wrong) {
    DecodeTimes times;
    DraftPolicy policy;
    CHECK(policy.hopes(8, {}, times));  // nothing is known yet
    for (size_t n = 1; n <= 9; n++) {
        times.record(n, 0.010);
    }
    const DraftCosts cheap = { 0.001, 0 }, dear = { 0.010, 0 };
    CHECK(policy.hopes(8, {}, times));
    CHECK(policy.hopes(8, cheap, times));
    CHECK(!policy.hopes(8, dear, times));
    for (int i = 0; i < 20; i++) {
        DraftPolicy::Answer answer = policy.begin();
        answer.begun               = true;
        answer.record.record(0, 1);
        answer.record.record(0, 1);
        answer.record.record(0, 1);
        policy.end(answer, 50);
    }
    CHECK(!policy.hopes(8, cheap, times));
}
