// Schemas as alternatives of keywords: allOf, anyOf, oneOf, not, if and $ref resolved.
#include "schema_normal.h"

#include "schema_format.h"

#include <algorithm>

namespace luup {

namespace {

constexpr size_t max_alternatives = 512;
constexpr size_t max_work         = 2000000;
constexpr size_t max_cut_values   = 16;  // numbers that are cut out of a range

}  // namespace

bool SchemaPlans::allows(const SchemaNode & node, Domain domain) {
    switch (domain) {
        case Domain::null: return node.types & type_null;
        case Domain::boolean: return node.types & type_boolean;
        case Domain::number: return node.types & (type_integer | type_number);
        case Domain::string: return node.types & type_string;
        case Domain::array: return node.types & type_array;
        default: return node.types & type_object;
    }
}

bool SchemaPlans::has_value_of(const SchemaNode & node, Domain domain) const {
    return std::any_of(node.values.begin(), node.values.end(), [&](const Json & v) {
        switch (domain) {
            case Domain::null: return v.is_null();
            case Domain::boolean: return v.is_boolean();
            case Domain::number: return v.is_number();
            case Domain::string: return v.is_string();
            case Domain::array: return v.is_array();
            default: return v.is_object();
        }
    });
}

void SchemaPlans::add(Alternatives & all, const Alternatives & more) {
    for (const Alternative & a : more) {
        if (std::find(all.begin(), all.end(), a) == all.end()) {
            all.push_back(a);
        }
    }
}

SchemaPlans::Alternatives SchemaPlans::both(const Alternatives & a, const Alternatives & b, int id) {
    Alternatives out;
    for (const Alternative & x : a) {
        for (const Alternative & y : b) {
            Alternative all;
            std::set_union(x.begin(), x.end(), y.begin(), y.end(), std::back_inserter(all));
            work_ += all.size() + out.size() / 16 + 1;
            if (std::find(out.begin(), out.end(), all) == out.end()) {
                out.push_back(std::move(all));
            }
            if (out.size() > max_alternatives || work_ > max_work) {
                invalid_schema(document_.node(id).pointer, "has too many combinations of alternatives");
            }
        }
    }
    return out;
}

SchemaPlans::Alternatives SchemaPlans::expand(const Demands & demands, Domain domain) {
    Alternatives out = { {} };
    for (const Demand & d : demands) {
        if (out.empty()) {
            break;
        }
        out = both(out, expand(d.node, domain, d.positive, false), d.node);
    }
    return out;
}

SchemaPlans::Alternatives SchemaPlans::expand(int id, Domain domain, bool positive, bool silent) {
    const auto key   = std::make_tuple(id, domain, positive, silent);
    const auto found = expansions_.find(key);
    if (found != expansions_.end()) {
        inexact_ = inexact_ || found->second.inexact;
        return found->second.all;
    }
    const bool before = inexact_;
    inexact_          = false;
    Alternatives out  = positive ? expand_positive(id, domain, silent) : expand_negative(id, domain);
    expansions_[key]  = { out, inexact_ };
    inexact_          = inexact_ || before;
    return out;
}

SchemaPlans::Alternatives SchemaPlans::expand_positive(int id, Domain domain, bool silent) {
    const SchemaNode & n = document_.node(id);
    if (n.always) {
        return *n.always ? Alternatives{ {} } : Alternatives{};
    }
    if (!allows(n, domain) || (n.has_values && !has_value_of(n, domain))) {
        return {};
    }
    Alternatives out  = { own_atoms(id, domain, silent) };
    const auto   with = [&](const Alternatives & more) { out = both(out, more, id); };
    if (n.reference >= 0) {
        with(expand(n.reference, domain, true, silent));
    }
    for (const int sub : n.all_of) {
        with(expand(sub, domain, true, silent));
    }
    if (!n.any_of.empty()) {
        Alternatives any;
        for (const int sub : n.any_of) {
            add(any, expand(sub, domain, true, silent));
        }
        with(any);
    }
    if (!n.one_of.empty()) {
        with(expand_one_of(id, domain, silent));
    }
    if (n.negated >= 0) {
        with(expand(n.negated, domain, false, true));
    }
    if (n.condition >= 0) {
        with(expand_condition(id, domain, silent));
    }
    if (domain == Domain::object) {
        with(expand_dependent(id, silent));
    }
    const bool items = domain == Domain::array && n.unevaluated_items >= 0, properties = domain == Domain::object && n.unevaluated_properties >= 0;
    if (items || properties) {
        for (Alternative & a : out) {
            scopes_.push_back(a);
            a.push_back({ items ? Part::unevaluated_items : Part::unevaluated_properties, id, static_cast<int>(scopes_.size()) - 1, true, silent });
            std::sort(a.begin(), a.end());
        }
    }
    return out;
}

SchemaPlans::Alternative SchemaPlans::own_atoms(int id, Domain domain, bool silent) {
    const SchemaNode & n = document_.node(id);
    Alternative        out;
    const auto         when = [&](bool present, Part part) {
        if (present) {
            out.push_back({ part, id, 0, true, silent });
        }
    };
    when(n.has_values, Part::values);
    switch (domain) {
        case Domain::number:
            when(n.types != all_types, Part::number);
            when(!(n.types & type_number), Part::integer);
            when(n.minimum.has_value(), Part::minimum);
            when(n.maximum.has_value(), Part::maximum);
            when(n.exclusive_minimum.has_value(), Part::exclusive_minimum);
            when(n.exclusive_maximum.has_value(), Part::exclusive_maximum);
            when(n.multiple_of.has_value(), Part::multiple_of);
            break;
        case Domain::string:
            when(n.min_length.has_value(), Part::min_length);
            when(n.max_length.has_value(), Part::max_length);
            when(n.pattern != nullptr, Part::pattern);
            when(!n.format.empty(), Part::format);
            break;
        case Domain::array:
            when(n.items >= 0 || !n.prefix_items.empty(), Part::items);
            when(n.min_items.has_value(), Part::min_items);
            when(n.max_items.has_value(), Part::max_items);
            when(n.unique_items, Part::unique_items);
            when(n.contains >= 0, Part::contains);
            break;
        case Domain::object:
            when(!n.properties.empty() || !n.pattern_properties.empty() || n.additional >= 0, Part::properties);
            when(n.property_names >= 0, Part::property_names);
            when(!n.required.empty(), Part::required);
            when(n.min_properties.has_value(), Part::min_properties);
            when(n.max_properties.has_value(), Part::max_properties);
            break;
        default: break;
    }
    std::sort(out.begin(), out.end());
    return out;
}

// Exactly one: an alternative excludes the others, unless they can't hold together anyway.
SchemaPlans::Alternatives SchemaPlans::expand_one_of(int id, Domain domain, bool silent) {
    const std::vector<int> & subs = document_.node(id).one_of;
    Alternatives             out;
    for (size_t chosen = 0; chosen < subs.size(); chosen++) {
        Alternatives mine = expand(subs[chosen], domain, true, silent);
        for (size_t i = 0; i < subs.size() && !mine.empty(); i++) {
            Demands together;
            add_demand(together, subs[chosen], true);
            add_demand(together, subs[i], true);
            std::sort(together.begin(), together.end());
            if (i != chosen && (subs[i] == subs[chosen] || !is_empty(together, 3))) {
                mine = both(mine, expand(subs[i], domain, false, true), id);
            }
        }
        add(out, mine);
    }
    return out;
}

SchemaPlans::Alternatives SchemaPlans::expand_condition(int id, Domain domain, bool silent) {
    const SchemaNode & n    = document_.node(id);
    const auto         side = [&](int sub) { return sub < 0 ? Alternatives{ {} } : expand(sub, domain, true, silent); };
    if (n.consequence < 0 && n.alternative < 0) {
        // Still evaluates what it fits: without that, less is allowed, which is safe.
        return { {} };
    }
    const Alternatives consequence = side(n.consequence), alternative = side(n.alternative);
    Alternatives       out    = both(expand(n.condition, domain, true, silent), consequence, id);
    const bool         before = inexact_;
    inexact_                  = false;
    add(out, both(expand(n.condition, domain, false, true), alternative, id));
    if (inexact_) {
        add(out, both(consequence, alternative, id));  // what fits both sides is right in any case
    }
    inexact_ = inexact_ || before;
    return out;
}

SchemaPlans::Alternatives SchemaPlans::expand_dependent(int id, bool silent) {
    const SchemaNode & n   = document_.node(id);
    Alternatives       out = { {} };
    for (size_t i = 0; i < n.dependent_required.size(); i++) {
        const int index = static_cast<int>(i);
        out             = both(out, { { { Part::dependent, id, index, false, silent } }, { { Part::dependent, id, index, true, silent } } }, id);
    }
    for (size_t i = 0; i < n.dependent_schemas.size(); i++) {
        const int    index = static_cast<int>(i);
        Alternatives with  = both({ { { Part::has, id, index, true, silent } } }, expand(n.dependent_schemas[i].second, Domain::object, true, silent), id);
        add(with, { { { Part::has, id, index, false, silent } } });
        out = both(out, with, id);
    }
    return out;
}

// What must not fit: one of the keywords fails. Those whose opposite can't be told are left out, which makes fewer alternatives.
SchemaPlans::Alternatives SchemaPlans::expand_negative(int id, Domain domain) {
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
        inexact_ = inexact_ || all == &n.one_of;  // or more than one fits
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
            add(out, both({ { { Part::has, id, static_cast<int>(i), true, true } } }, expand(n.dependent_schemas[i].second, domain, false, true), id));
        }
    }
    return out;
}

void SchemaPlans::negate_own(int id, Domain domain, Alternatives & out) {
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

void SchemaPlans::negate_values(int id, Domain domain, Alternatives & out) {
    const SchemaNode & n = document_.node(id);
    if (!has_value_of(n, domain)) {
        add(out, { {} });
    } else if (domain == Domain::string) {
        add(out, { { { Part::values, id, 0, false, true } } });
    } else if (domain == Domain::number && n.values.size() <= max_cut_values) {
        // Below, between and above the numbers.
        std::vector<int> order;
        for (size_t i = 0; i < n.values.size(); i++) {
            if (n.values[i].is_number()) {
                order.push_back(static_cast<int>(i));
            }
        }
        std::sort(order.begin(), order.end(), [&](int a, int b) { return compare_numbers(n.values[a], n.values[b]) < 0; });
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
