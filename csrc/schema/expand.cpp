// The alternatives of demands: allOf, anyOf, oneOf, not, if and $ref resolved.
#include "schema/limits.h"
#include "schema/planner.h"
#include "schema/pointer.h"

#include <algorithm>
#include <iterator>

namespace luup {

bool SchemaPlanner::allows(const SchemaNode & node, Domain domain) {
    switch (domain) {
        case Domain::number: return node.types & (type_integer | type_number);
        case Domain::string: return node.types & type_string;
        case Domain::array: return node.types & type_array;
        default: return node.types & type_object;
    }
}

bool SchemaPlanner::has_value_of(const SchemaNode & node, Domain domain) const {
    return std::any_of(node.values.begin(), node.values.end(), [&](const Json & v) {
        switch (domain) {
            case Domain::number: return v.is_number();
            case Domain::string: return v.is_string();
            case Domain::array: return v.is_array();
            default: return v.is_object();
        }
    });
}

void SchemaPlanner::add(Alternatives & all, const Alternatives & more) {
    for (const Alternative & a : more) {
        if (std::find(all.begin(), all.end(), a) == all.end()) {
            all.push_back(a);
        }
    }
}

SchemaPlanner::Alternatives SchemaPlanner::both(const Alternatives & a, const Alternatives & b, int id) {
    Alternatives out;
    for (const Alternative & x : a) {
        for (const Alternative & y : b) {
            Alternative all;
            std::set_union(x.begin(), x.end(), y.begin(), y.end(), std::back_inserter(all));
            work_ += all.size() + out.size() / 16 + 1;
            if (std::find(out.begin(), out.end(), all) == out.end()) {
                out.push_back(std::move(all));
            }
            if (out.size() > schema_limits::alternatives || work_ > schema_limits::expansion) {
                invalid_schema(document_.node(id).pointer, "has too many combinations of alternatives");
            }
        }
    }
    return out;
}

SchemaPlanner::Alternatives SchemaPlanner::expand(const Demands & demands, Domain domain) {
    Alternatives out = { {} };
    for (const Demand & d : demands) {
        if (out.empty()) {
            break;
        }
        out = both(out, expand(d.node, domain, d.positive, false), d.node);
    }
    return out;
}

SchemaPlanner::Alternatives SchemaPlanner::expand(int id, Domain domain, bool positive, bool silent) {
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

SchemaPlanner::Alternatives SchemaPlanner::expand_positive(int id, Domain domain, bool silent) {
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
    const bool items      = domain == Domain::array && n.unevaluated_items >= 0,
               properties = domain == Domain::object && n.unevaluated_properties >= 0;
    if (items || properties) {
        for (Alternative & a : out) {
            scopes_.push_back(a);
            a.push_back({ items ? Part::unevaluated_items : Part::unevaluated_properties, id,
                          static_cast<int>(scopes_.size()) - 1, true, silent });
            std::sort(a.begin(), a.end());
        }
    }
    return out;
}

SchemaPlanner::Alternative SchemaPlanner::own_atoms(int id, Domain domain, bool silent) {
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
            when(n.declares_properties || !n.pattern_properties.empty() || n.additional >= 0, Part::properties);
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

// Exactly one: each schema is combined with the negation of the others, except those that contradict it anyway.
SchemaPlanner::Alternatives SchemaPlanner::expand_one_of(int id, Domain domain, bool silent) {
    const std::vector<int> & subs = document_.node(id).one_of;
    Alternatives             out;
    for (size_t chosen = 0; chosen < subs.size(); chosen++) {
        Alternatives mine = expand(subs[chosen], domain, true, silent);
        for (size_t i = 0; i < subs.size() && !mine.empty(); i++) {
            Demands together;
            add_demand(together, subs[chosen], true);
            add_demand(together, subs[i], true);
            std::sort(together.begin(), together.end());
            if (i != chosen && (subs[i] == subs[chosen] || !is_empty(together, schema_limits::emptiness_depth))) {
                mine = both(mine, expand(subs[i], domain, false, true), id);
            }
        }
        add(out, mine);
    }
    return out;
}

SchemaPlanner::Alternatives SchemaPlanner::expand_condition(int id, Domain domain, bool silent) {
    const SchemaNode & n    = document_.node(id);
    const auto         side = [&](int sub) { return sub < 0 ? Alternatives{ {} } : expand(sub, domain, true, silent); };
    if (n.consequence < 0 && n.alternative < 0) {
        // Its annotations are ignored: unevaluated… then allows less, which is safe.
        return { {} };
    }
    const Alternatives consequence = side(n.consequence), alternative = side(n.alternative);
    Alternatives       out    = both(expand(n.condition, domain, true, silent), consequence, id);
    const bool         before = inexact_;
    inexact_                  = false;
    add(out, both(expand(n.condition, domain, false, true), alternative, id));
    if (inexact_) {
        // Values that match both sides are valid in any case.
        add(out, both(consequence, alternative, id));
    }
    inexact_ = inexact_ || before;
    return out;
}

SchemaPlanner::Alternatives SchemaPlanner::expand_dependent(int id, bool silent) {
    const SchemaNode & n   = document_.node(id);
    Alternatives       out = { {} };
    for (size_t i = 0; i < n.dependent_required.size(); i++) {
        const int index = static_cast<int>(i);
        out             = both(
            out,
            { { { Part::dependent, id, index, false, silent } }, { { Part::dependent, id, index, true, silent } } },
            id);
    }
    for (size_t i = 0; i < n.dependent_schemas.size(); i++) {
        const int    index = static_cast<int>(i);
        Alternatives with  = both({ { { Part::has, id, index, true, silent } } },
                                  expand(n.dependent_schemas[i].second, Domain::object, true, silent), id);
        add(with, { { { Part::has, id, index, false, silent } } });
        out = both(out, with, id);
    }
    return out;
}

}  // namespace luup
