// Plans of arrays: their lengths and the demands on each item.
#include "schema/limits.h"
#include "schema/planner.h"
#include "schema/pointer.h"

#include <algorithm>

namespace luup {

void SchemaPlanner::count_items(const Alternative & alternative, ArrayPlan & out, size_t & prefix) const {
    const auto at_least = [&](uint64_t n) { out.min = std::max(out.min, n); };
    const auto at_most  = [&](uint64_t n) { out.max = std::min(out.max.value_or(n), n); };
    const auto distinct = [&](size_t n) { prefix = std::max(prefix, n); };
    for (const Atom & a : alternative) {
        const SchemaNode & n = node(a);
        out.pointer          = out.pointer.empty() ? n.pointer : out.pointer;
        switch (a.part) {
            case Part::min_items: a.positive ? at_least(*n.min_items) : at_most(*n.min_items - 1); break;
            case Part::max_items: a.positive ? at_most(*n.max_items) : at_least(*n.max_items + 1); break;
            case Part::unique_items: out.unique = true; break;
            case Part::items:
                distinct(a.positive ? n.prefix_items.size() : a.index + 1);
                if (!a.positive) {
                    at_least(a.index + 1);
                }
                break;
            case Part::contains:
                if (a.positive && n.max_contains && *n.max_contains < n.min_contains) {
                    at_least(1);
                    at_most(0);
                } else if (a.positive) {
                    at_least(n.min_contains);
                    distinct(n.min_contains);
                }
                break;
            case Part::unevaluated_items:
                for (const Atom & inner : scopes_[a.index]) {
                    distinct(inner.part == Part::items      ? node(inner).prefix_items.size()
                             : inner.part == Part::contains ? node(inner).min_contains
                                                            : 0);
                }
                break;
            default: break;
        }
    }
}

ArrayPlan SchemaPlanner::array_plan(const Alternative & alternative) {
    ArrayPlan out;
    size_t    prefix = 0;
    count_items(alternative, out, prefix);
    if (out.max) {
        prefix = std::min<size_t>(prefix, *out.max);
    }
    if (out.min > schema_limits::required_entries) {
        invalid_schema(out.pointer, "requires more than 10,000 items; at most that many can be enforced");
    }
    if (prefix > schema_limits::distinct_items) {
        invalid_schema(out.pointer, "has different schemas for more than 256 items; at most that many can be enforced");
    }
    for (size_t i = 0; i < prefix; i++) {
        out.prefix.push_back(id_of(item_demands(alternative, i)));
    }
    out.items = id_of(item_demands(alternative, prefix));
    return out;
}

bool SchemaPlanner::evaluates(const Alternative & scope, size_t index) const {
    return std::any_of(scope.begin(), scope.end(), [&](const Atom & a) {
        if (!a.positive || a.silent) {
            return false;
        }
        return (a.part == Part::items && (node(a).items >= 0 || index < node(a).prefix_items.size())) ||
               (a.part == Part::contains && index < node(a).min_contains) || a.part == Part::unevaluated_items;
    });
}

Demands SchemaPlanner::item_demands(const Alternative & alternative, size_t index) const {
    Demands out;
    for (const Atom & a : alternative) {
        const SchemaNode & n = node(a);
        if (a.part == Part::items) {
            const int sub = index < n.prefix_items.size() ? n.prefix_items[index] : n.items;
            if (sub >= 0 && (a.positive || static_cast<size_t>(a.index) == index)) {
                add_demand(out, sub, a.positive);
            }
        } else if (a.part == Part::contains) {
            if (a.positive && index < n.min_contains) {
                add_demand(out, n.contains, true);
            } else if (!a.positive || n.max_contains) {
                add_demand(out, n.contains, false);
            }
        } else if (a.part == Part::unevaluated_items && !evaluates(scopes_[a.index], index)) {
            add_demand(out, n.unevaluated_items, true);
        }
    }
    std::sort(out.begin(), out.end());
    return out;
}

}  // namespace luup
