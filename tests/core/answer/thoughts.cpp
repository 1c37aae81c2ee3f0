// Where the thoughts of an answer end.
#include "answer/thoughts.h"

#include "check.h"

using namespace luup;

namespace {

ThinkingPlan plan_with(int32_t max_tokens) {
    ThinkingPlan plan;
    plan.texts.start = "<think>\n";
    plan.texts.ends  = { "</think>" };
    plan.start       = { 1, 2 };
    plan.end         = { 3 };
    plan.max_tokens  = max_tokens;
    return plan;
}

} // namespace

CASE(thoughts_end_at_their_marker) {
    const ThinkingPlan plan = plan_with(-1);
    Thoughts           thoughts(plan);
    std::string        text = "Well.";
    thoughts.begin_at(text.size());
    CHECK(thoughts.empty() && thoughts.begin() == 5);
    CHECK(thoughts.add_token(text += "\n<thi", false) == Thoughts::Next::GoOn);
    CHECK(thoughts.add_token(text += "nk>", false) == Thoughts::Next::GoOn);
    CHECK(thoughts.add_token(text += "\nHm", false) == Thoughts::Next::GoOn);
    CHECK(thoughts.add_token(text += "</think>\n\n", false) == Thoughts::Next::Ended);
    CHECK(!thoughts.empty());
}

CASE(what_only_begins_like_thoughts_is_text) {
    const ThinkingPlan plan = plan_with(-1);
    Thoughts           thoughts(plan);
    CHECK(thoughts.add_token("<", false) == Thoughts::Next::GoOn);
    CHECK(thoughts.add_token("<b>", false) == Thoughts::Next::NotThoughts);
}

CASE(thoughts_must_end_at_the_limit_and_with_the_answer) {
    const ThinkingPlan plan = plan_with(2);
    Thoughts           thoughts(plan);
    CHECK(thoughts.add_token("<think>", false) == Thoughts::Next::GoOn);
    CHECK(thoughts.add_token("<think>\nHm", false) == Thoughts::Next::MustEnd);
    Thoughts cut_off(plan);
    CHECK(cut_off.add_token("<think>", true) == Thoughts::Next::MustEnd);
}

CASE(thoughts_that_may_not_be_end_once_they_have_begun) {
    const ThinkingPlan plan = plan_with(0);
    Thoughts           thoughts(plan);
    CHECK(thoughts.may_begin(" \n", "<th") && !thoughts.may_begin("Well.", "<th") && !thoughts.may_begin("", "Well"));
    CHECK(thoughts.add_token("<th", false) == Thoughts::Next::GoOn);
    CHECK(thoughts.add_token("<think", true) == Thoughts::Next::GoOn);
    CHECK(thoughts.add_token("<think>", false) == Thoughts::Next::MustEnd);
    thoughts.add_dictated(plan.end.size());
    CHECK(thoughts.tokens() == 4);
    Thoughts text(plan);
    CHECK(text.add_token("<b", false) == Thoughts::Next::NotThoughts && text.empty() && text.tokens() == 0);
}

CASE(open_thoughts_that_may_not_be_end_before_they_begin) {
    ThinkingPlan plan = plan_with(0);
    CHECK(!Thoughts(plan).must_end(""));
    plan.texts.open = true;
    CHECK(Thoughts(plan).must_end(""));
    plan.max_tokens = 1;
    CHECK(!Thoughts(plan).must_end(""));
    plan.end = {};  // nothing can end them
    Thoughts thoughts(plan);
    CHECK(thoughts.add_token("so", false) == Thoughts::Next::GoOn && !thoughts.must_end("so"));
}
