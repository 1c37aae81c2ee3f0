#include "answer/proposed_call.h"

#include "base/json.h"
#include "schema/equality.h"

#include <algorithm>

namespace luup {

namespace {

bool same_json(const std::string & a, const std::string & b) {
    const Json parsed = try_read_json(a);
    return !parsed.is_discarded() && equal_json(parsed, try_read_json(b));
}

bool has_call(const std::vector<ToolCall> & calls, const ToolCall & call) {
    return std::any_of(calls.begin(), calls.end(), [&](const ToolCall & c) {
        return c.name == call.name && same_json(c.arguments, call.arguments);
    });
}

}  // namespace

bool AcceptedCalls::add(const std::vector<ToolCall> & parsed, const std::string & text, ProposedCall & proposed) {
    using AcceptIf = ProposedCall::AcceptIf;
    auto earlier   = made_;
    earlier.insert(earlier.end(), calls_.begin(), calls_.end());
    // A format with one tag around all calls brings several at once: the first decides, and the model chose to go on
    // with the others.
    const size_t first = std::min(parsed_, parsed.size());
    parsed_            = parsed.size();
    if (first == parsed.size()) {
        return false;
    }
    const ToolCall & call     = parsed[first];
    const bool       accepted = proposed.accept_if == AcceptIf::Complete ||
                                (!has_call(earlier, call) &&
                                 (proposed.accept_if == AcceptIf::New || proposed.judge.is_meant(text, call, earlier)));
    for (size_t i = first; i < parsed.size() && accepted; i++) {
        if (i == first || !has_call(earlier, parsed[i])) {
            calls_.push_back(i == first ? proposed.judge.without_guesses(text, parsed[i]) : parsed[i]);
            earlier.push_back(parsed[i]);
        }
    }
    return accepted;
}

}  // namespace luup
