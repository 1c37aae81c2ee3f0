// Plans of numbers and strings.
#include "schema/format.h"
#include "schema/limits.h"
#include "schema/planner.h"
#include "schema/pointer.h"

#include <algorithm>
#include <stdexcept>

namespace luup {

NumberPlan SchemaPlanner::number_plan(const Alternative & alternative) const {
    NumberPlan out;
    for (const Atom & a : alternative) {
        const SchemaNode & n = node(a);
        out.pointer          = out.pointer.empty() ? n.pointer : out.pointer;
        const bool no        = !a.positive;
        // The opposite of "at least" is "less than", and so on.
        switch (a.part) {
            case Part::integer: out.range.integer = true; break;
            case Part::minimum:
                no ? out.range.at_most(Decimal::from(*n.minimum), true)
                   : out.range.at_least(Decimal::from(*n.minimum), false);
                break;
            case Part::maximum:
                no ? out.range.at_least(Decimal::from(*n.maximum), true)
                   : out.range.at_most(Decimal::from(*n.maximum), false);
                break;
            case Part::exclusive_minimum:
                no ? out.range.at_most(Decimal::from(*n.exclusive_minimum), false)
                   : out.range.at_least(Decimal::from(*n.exclusive_minimum), true);
                break;
            case Part::exclusive_maximum:
                no ? out.range.at_least(Decimal::from(*n.exclusive_maximum), false)
                   : out.range.at_most(Decimal::from(*n.exclusive_maximum), true);
                break;
            case Part::below: out.range.at_most(Decimal::from(n.values[a.index]), true); break;
            case Part::above: out.range.at_least(Decimal::from(n.values[a.index]), true); break;
            case Part::multiple_of: out.range.steps.push_back(Decimal::from(*n.multiple_of)); break;
            default: break;
        }
    }
    return out;
}

StringPlan SchemaPlanner::string_plan(const Alternative & alternative) const {
    StringPlan out;
    const auto at_least = [&](uint64_t n) { out.min = std::max(out.min, n); };
    const auto at_most  = [&](uint64_t n) { out.max = std::min(out.max.value_or(n), n); };
    for (const Atom & a : alternative) {
        const SchemaNode & n = node(a);
        out.pointer          = out.pointer.empty() ? n.pointer : out.pointer;
        switch (a.part) {
            case Part::min_length: a.positive ? at_least(*n.min_length) : at_most(*n.min_length - 1); break;
            case Part::max_length: a.positive ? at_most(*n.max_length) : at_least(*n.max_length + 1); break;
            case Part::pattern: out.patterns.push_back({ n.pattern, a.positive, false }); break;
            case Part::format: {
                const Format * format = find_format(n.format);
                out.patterns.push_back({ format->generated, true, true });
                for (const auto & forbidden : format->forbidden) {
                    out.patterns.push_back({ forbidden, false, true });
                }
                break;
            }
            case Part::values:
                for (const Json & v : n.values) {
                    if (v.is_string()) {
                        out.excluded.push_back(v.get<std::string>());
                    }
                }
                break;
            default: break;
        }
    }
    return out;
}

// Builds the automaton if the plan needs one. Returns false if there is no such string. Where counting the characters
// makes it too large, a guard may count them instead, except in names.
bool SchemaPlanner::finish(StringPlan & plan, bool is_name) const {
    if (plan.max && plan.min > *plan.max) {
        return false;
    }
    if (plan.min > schema_limits::required_length) {
        invalid_schema(plan.pointer,
                       "requires strings of more than 100,000 characters; at most that many can be enforced");
    }
    if (plan.patterns.empty() && plan.excluded.empty()) {
        return true;
    }
    const bool guarded = plan.max && !is_name;
    const auto build   = [&](std::optional<uint64_t> max, size_t most) {
        plan.dfa = find_dfa(plan.patterns, plan.excluded, { plan.min, max, most });
    };
    try {
        try {
            build(plan.max, guarded ? schema_limits::unguarded_states : schema_limits::counted_states);
        } catch (const DfaTooLarge &) {
            if (!guarded) {
                throw;
            }
            build(std::nullopt, schema_limits::counted_states);
            plan.to_end = distances_to_end(*plan.dfa);
            return !plan.dfa->states.empty() && plan.to_end[0] <= *plan.max;
        }
    } catch (const std::length_error & e) {
        invalid_schema(plan.pointer, e.what());
    }
    return !plan.dfa->states.empty();
}

}  // namespace luup
