// Whether no value can satisfy a set of demands.
#include "schema/limits.h"
#include "schema/planner.h"

#include <algorithm>

namespace luup {

bool SchemaPlanner::is_empty(const Demands & demands, int depth) {
    if (is_false(demands)) {
        return true;
    }
    if (depth == 0 || demands.empty()) {
        return false;
    }
    const auto fits = [&](const Json & v) { return accepts(demands, v); };
    if (const SchemaNode * only = finite(demands)) {
        return std::none_of(only->values.begin(), only->values.end(), fits);
    }
    if (fits(nullptr) || fits(true) || fits(false)) {
        return false;
    }
    const bool before = inexact_;
    bool       empty  = true;
    for (const Domain domain : { Domain::number, Domain::string, Domain::array, Domain::object }) {
        inexact_               = false;
        const Alternatives all = expand(demands, domain);
        empty                  = empty && !inexact_ && std::all_of(all.begin(), all.end(), [&](const Alternative & a) {
                    return contradicts(a, domain, demands, depth);
                                 });
        if (!empty) {
            break;
        }
    }
    inexact_ = before;
    return empty;
}

bool SchemaPlanner::contradicts(const Alternative & alternative, Domain domain, const Demands & demands, int depth) {
    work_ += alternative.size() + 1;
    for (const Atom & a : alternative) {
        if (a.part == Part::values && a.positive) {
            const auto & values = node(a).values;
            return std::none_of(values.begin(), values.end(), [&](const Json & v) { return accepts(demands, v); });
        }
    }
    if (domain == Domain::number) {
        const NumberRange range = number_plan(alternative).range;
        const int         order = range.min && range.max ? compare(*range.min, *range.max) : -1;
        return order > 0 || (order == 0 && (range.above_min || range.below_max));
    }
    if (domain == Domain::string) {
        const StringPlan plan = string_plan(alternative);
        return plan.max && plan.min > *plan.max;
    }
    return domain == Domain::array ? contradicts_array(alternative, depth)
                                   : domain == Domain::object && contradicts_object(alternative, depth);
}

bool SchemaPlanner::contradicts_array(const Alternative & alternative, int depth) {
    ArrayPlan plan;
    size_t    prefix = 0;
    count_items(alternative, plan, prefix);
    if (plan.max && plan.min > *plan.max) {
        return true;
    }
    for (size_t i = 0; i < std::min<size_t>(plan.min, prefix + 1) && i < schema_limits::distinct_items; i++) {
        // With "contains", the planner chooses which items match: a contradiction in one of them proves nothing.
        const bool chosen = std::any_of(alternative.begin(), alternative.end(),
                                        [](const Atom & a) { return a.part == Part::contains && a.positive; });
        if (!chosen && is_empty(item_demands(alternative, i), depth - 1)) {
            return true;
        }
    }
    return false;
}

bool SchemaPlanner::contradicts_object(const Alternative & alternative, int depth) {
    for (const std::string & name : names_of(alternative)) {
        if (requires_name(alternative, name) &&
            (forbids_name(alternative, name) ||
             is_empty(property_demands(alternative, Name::given(name)), depth - 1))) {
            return true;
        }
    }
    return false;
}

}  // namespace luup
