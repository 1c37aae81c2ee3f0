// The alternatives of values that must not match a schema.
#include "schema/limits.h"
#include "schema/planner.h"
#include "schema/pointer.h"

#include <algorithm>

namespace luup {

// Returns the alternatives of values that don't match: one of the keywords fails. Keywords that can't be negated are
// left out, which leaves fewer alternatives.
SchemaPlanner::Alternatives SchemaPlanner::expand_negative(int id, Domain domain) {
    const SchemaNode & n = document_.node(id);
    if (n.always) {
        return *n.always ? Alternatives{} : Alternatives{ {} };
    }
    if (!allows(n, domain)) {
        return { {} };
    }
    Alternatives out;
    negate_own(id, domain, out);
    if (n.reference >= 0) {
        add(out, expand(n.reference, domain, false, true));
    }
    for (const int sub : n.all_of) {
        add(out, expand(sub, domain, false, true));
    }
    for (const std::vector<int> * all : { &n.any_of, &n.one_of }) {
        if (all->empty()) {
            continue;
        }
        Alternatives none = { {} };
        for (const int sub : *all) {
            none = both(none, expand(sub, domain, false, true), id);
        }
        add(out, none);
        inexact_ = inexact_ || all == &n.one_of;  // values that match more than one are left out
    }
    if (n.negated >= 0) {
        add(out, expand(n.negated, domain, true, true));
    }
    if (n.condition >= 0) {
        if (n.consequence >= 0) {
            add(out, both(expand(n.condition, domain, true, true), expand(n.consequence, domain, false, true), id));
        }
        if (n.alternative >= 0) {
            add(out, both(expand(n.condition, domain, false, true), expand(n.alternative, domain, false, true), id));
        }
    }
    if (domain == Domain::object) {
        for (size_t i = 0; i < n.dependent_schemas.size(); i++) {
            add(out, both({ { { Part::has, id, static_cast<int>(i), true, true } } },
                          expand(n.dependent_schemas[i].second, domain, false, true), id));
        }
    }
    return out;
}

void SchemaPlanner::negate_own(int id, Domain domain, Alternatives & out) {
    const SchemaNode & n   = document_.node(id);
    const auto         can = [&](bool present, Part part, int index = 0) {
        if (present) {
            add(out, { { { part, id, index, false, true } } });
        }
    };
    const auto cannot = [&](bool present, const char * keyword) {
        if (present) {
            inexact_   = true;
            first_gap_ = first_gap_.empty() ? pointer_to(n.pointer, keyword) : first_gap_;
        }
    };
    if (n.has_values) {
        negate_values(id, domain, out);
    }
    switch (domain) {
        case Domain::number:
            cannot(!(n.types & type_number), "type");
            can(n.minimum.has_value(), Part::minimum);
            can(n.maximum.has_value(), Part::maximum);
            can(n.exclusive_minimum.has_value(), Part::exclusive_minimum);
            can(n.exclusive_maximum.has_value(), Part::exclusive_maximum);
            cannot(n.multiple_of.has_value(), "multipleOf");
            break;
        case Domain::string:
            can(n.min_length && *n.min_length > 0, Part::min_length);
            can(n.max_length.has_value(), Part::max_length);
            can(n.pattern && n.pattern->parts().size() == 1, Part::pattern);
            cannot(n.pattern && n.pattern->parts().size() > 1, "pattern");
            cannot(!n.format.empty(), "format");
            break;
        case Domain::array:
            for (size_t i = 0; i < n.prefix_items.size(); i++) {
                can(true, Part::items, static_cast<int>(i));
            }
            can(n.items >= 0, Part::items, static_cast<int>(n.prefix_items.size()));
            cannot(n.items >= 0, "items");
            can(n.min_items && *n.min_items > 0, Part::min_items);
            can(n.max_items.has_value(), Part::max_items);
            cannot(n.unique_items, "uniqueItems");
            can(n.contains >= 0 && n.min_contains > 0, Part::contains);
            cannot(n.contains >= 0 && (n.min_contains > 1 || n.max_contains), "contains");
            cannot(n.unevaluated_items >= 0, "unevaluatedItems");
            break;
        case Domain::object:
            for (size_t i = 0; i < n.properties.size(); i++) {
                can(true, Part::property, static_cast<int>(i));
            }
            for (size_t i = 0; i < n.required.size(); i++) {
                can(true, Part::lacks, static_cast<int>(i));
            }
            can(n.min_properties && *n.min_properties > 0, Part::min_properties);
            can(n.max_properties.has_value(), Part::max_properties);
            cannot(!n.pattern_properties.empty(), "patternProperties");
            cannot(n.additional >= 0 && document_.node(n.additional).always != true, "additionalProperties");
            cannot(n.property_names >= 0, "propertyNames");
            cannot(!n.dependent_required.empty(), "dependentRequired");
            cannot(n.unevaluated_properties >= 0, "unevaluatedProperties");
            break;
        default: break;
    }
}

void SchemaPlanner::negate_values(int id, Domain domain, Alternatives & out) {
    const SchemaNode & n = document_.node(id);
    if (!has_value_of(n, domain)) {
        add(out, { {} });
    } else if (domain == Domain::string) {
        add(out, { { { Part::values, id, 0, false, true } } });
    } else if (domain == Domain::number && n.values.size() <= schema_limits::excluded_numbers) {
        // Below, between and above the numbers.
        std::vector<int> order;
        for (size_t i = 0; i < n.values.size(); i++) {
            if (n.values[i].is_number()) {
                order.push_back(static_cast<int>(i));
            }
        }
        std::sort(order.begin(), order.end(),
                  [&](int a, int b) { return compare_numbers(n.values[a], n.values[b]) < 0; });
        for (size_t i = 0; i <= order.size(); i++) {
            Alternative gap;
            if (i < order.size()) {
                gap.push_back({ Part::below, id, order[i], true, true });
            }
            if (i > 0) {
                gap.push_back({ Part::above, id, order[i - 1], true, true });
            }
            std::sort(gap.begin(), gap.end());
            add(out, { gap });
        }
    } else {
        inexact_   = true;
        first_gap_ = first_gap_.empty() ? pointer_to(n.pointer, "enum") : first_gap_;
    }
}

}  // namespace luup
