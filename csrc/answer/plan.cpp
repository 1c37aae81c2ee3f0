#include "answer/plan.h"

namespace luup {

ThinkingPlan make_thinking_plan(const ChatTemplate & chat, const Thinking & thinking) {
    ThinkingPlan plan;
    plan.texts = thinking;
    if (!thinking.ends.empty()) {
        plan.end = chat.marker_tokens(plan.end_text());
        if (!thinking.start.empty()) {
            plan.start = chat.marker_tokens(thinking.start);
        }
    }
    return plan;
}

}  // namespace luup
