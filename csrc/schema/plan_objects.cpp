// Plans of objects: their declared properties, and properties with other names.
#include "schema/limits.h"
#include "schema/planner.h"
#include "schema/pointer.h"

#include <algorithm>

namespace luup {

bool SchemaPlanner::matches(const Pattern & pattern, const Name & name) const {
    return name.text ? pattern.search(*name.text) : name.pattern && name.pattern->source() == pattern.source();
}

bool SchemaPlanner::evaluates(const Alternative & scope, const Name & name) const {
    return std::any_of(scope.begin(), scope.end(), [&](const Atom & a) {
        if (!a.positive || a.silent) {
            return false;
        }
        const SchemaNode & n = node(a);
        if (a.part == Part::properties) {
            return n.additional >= 0 || (name.text && n.property(*name.text) >= 0) ||
                   std::any_of(n.pattern_properties.begin(), n.pattern_properties.end(),
                               [&](const auto & p) { return matches(*p.first, name); });
        }
        return a.part == Part::unevaluated_properties;
    });
}

Demands SchemaPlanner::property_demands(const Alternative & alternative, const Name & name) const {
    Demands out;
    for (const Atom & a : alternative) {
        const SchemaNode & n = node(a);
        if (a.part == Part::properties) {
            const int declared = name.text ? n.property(*name.text) : -1;
            bool      known    = declared >= 0;
            if (known) {
                add_demand(out, declared, true);
            }
            for (const auto & [pattern, sub] : n.pattern_properties) {
                if (matches(*pattern, name)) {
                    known = true;
                    add_demand(out, sub, true);
                }
            }
            if (!known && n.additional >= 0) {
                add_demand(out, n.additional, true);
            }
        } else if (a.part == Part::property && name.text && n.properties[a.index].first == *name.text) {
            add_demand(out, n.properties[a.index].second, false);
        } else if (a.part == Part::unevaluated_properties && !evaluates(scopes_[a.index], name)) {
            add_demand(out, n.unevaluated_properties, true);
        }
    }
    std::sort(out.begin(), out.end());
    return out;
}

// Returns the names of an alternative in the order of the schemas.
std::vector<std::string> SchemaPlanner::names_of(const Alternative & alternative) const {
    std::vector<std::string> out;
    const auto               take = [&](const std::string & name) {
        if (std::find(out.begin(), out.end(), name) == out.end()) {
            out.push_back(name);
        }
    };
    for (const Atom & a : alternative) {
        if (a.part == Part::properties) {
            for (const auto & p : node(a).properties) {
                take(p.first);
            }
        }
    }
    for (const Atom & a : alternative) {
        const SchemaNode & n = node(a);
        if (a.part == Part::required) {
            std::for_each(n.required.begin(), n.required.end(), take);
        } else if (a.part == Part::property) {
            take(n.properties[a.index].first);
        } else if (a.part == Part::lacks) {
            take(n.required[a.index]);
        } else if (a.part == Part::dependent) {
            take(n.dependent_required[a.index].first);
            std::for_each(n.dependent_required[a.index].second.begin(), n.dependent_required[a.index].second.end(),
                          take);
        } else if (a.part == Part::has) {
            take(n.dependent_schemas[a.index].first);
        }
    }
    return out;
}

bool SchemaPlanner::requires_name(const Alternative & alternative, const std::string & name) const {
    const auto in = [&](const std::vector<std::string> & names) {
        return std::find(names.begin(), names.end(), name) != names.end();
    };
    return std::any_of(alternative.begin(), alternative.end(), [&](const Atom & a) {
        const SchemaNode & n = node(a);
        switch (a.part) {
            case Part::required: return in(n.required);
            case Part::property: return n.properties[a.index].first == name;
            case Part::dependent:
                return a.positive &&
                       (n.dependent_required[a.index].first == name || in(n.dependent_required[a.index].second));
            case Part::has: return a.positive && n.dependent_schemas[a.index].first == name;
            default: return false;
        }
    });
}

bool SchemaPlanner::forbids_name(const Alternative & alternative, const std::string & name) const {
    return std::any_of(alternative.begin(), alternative.end(), [&](const Atom & a) {
        const SchemaNode & n = node(a);
        switch (a.part) {
            case Part::lacks: return n.required[a.index] == name;
            case Part::dependent: return !a.positive && n.dependent_required[a.index].first == name;
            case Part::has: return !a.positive && n.dependent_schemas[a.index].first == name;
            case Part::property_names: return !validator_.is_valid(n.property_names, Json(name));
            default: return false;
        }
    });
}

void SchemaPlanner::count_properties(const Alternative & alternative, ObjectPlan & out) const {
    const auto at_least = [&](uint64_t n) { out.min = std::max(out.min, n); };
    const auto at_most  = [&](uint64_t n) { out.max = std::min(out.max.value_or(n), n); };
    for (const Atom & a : alternative) {
        const SchemaNode & n = node(a);
        out.pointer          = out.pointer.empty() ? n.pointer : out.pointer;
        if (a.part == Part::min_properties) {
            a.positive ? at_least(*n.min_properties) : at_most(*n.min_properties - 1);
        } else if (a.part == Part::max_properties) {
            a.positive ? at_most(*n.max_properties) : at_least(*n.max_properties + 1);
        }
    }
}

// Returns false if there is no such object.
bool SchemaPlanner::object_plan(const Alternative & alternative, ObjectPlan & out) {
    count_properties(alternative, out);
    uint64_t required = 0;
    for (const std::string & name : names_of(alternative)) {
        const bool    needed  = requires_name(alternative, name);
        const Demands demands = property_demands(alternative, Name::given(name));
        if (forbids_name(alternative, name) || is_false(demands)) {
            if (needed) {
                return false;
            }
            continue;
        }
        required += needed;
        out.properties.push_back({ name, id_of(demands), needed });
    }
    if (out.min > schema_limits::required_entries) {
        invalid_schema(out.pointer, "requires more than 10,000 properties; at most that many can be enforced");
    }
    add_free(alternative, out);
    if (out.min > out.properties.size() && out.free.empty()) {
        return false;
    }
    return !out.max || (out.min <= *out.max && required <= *out.max);
}

// Adds the names that propertyNames lists.
void SchemaPlanner::add_listed_names(const Alternative & alternative, const SchemaNode & allowed, ObjectPlan & out) {
    const std::vector<std::string> declared = names_of(alternative);
    for (const Json & v : allowed.values) {
        if (!v.is_string() || std::find(declared.begin(), declared.end(), v.get<std::string>()) != declared.end() ||
            forbids_name(alternative, v.get<std::string>())) {
            continue;
        }
        const std::string name    = v.get<std::string>();
        const Demands     demands = property_demands(alternative, Name::given(name));
        if (!is_false(demands)) {
            out.properties.push_back({ name, id_of(demands), false });
        }
    }
}

// Adds properties with undeclared names: where the object needs them, where the schema describes them, or where it
// declares none. A schema with "properties": {} declares an object without properties.
void SchemaPlanner::add_free(const Alternative & alternative, ObjectPlan & out) {
    const std::vector<std::string>              names = names_of(alternative);
    std::vector<std::shared_ptr<const Pattern>> patterns;
    Demands                                     name_demands;
    bool                                        described = false, declared = !out.properties.empty();
    for (const Atom & a : alternative) {
        const SchemaNode & n = node(a);
        if (a.part == Part::properties) {
            for (const auto & p : n.pattern_properties) {
                if (std::none_of(patterns.begin(), patterns.end(),
                                 [&](const auto & o) { return o->source() == p.first->source(); })) {
                    patterns.push_back(p.first);
                }
            }
            declared  = declared || n.declares_properties;
            described = described ||
                        (n.additional >= 0 && !document_.node(n.additional).always && !document_.json().is_boolean());
        } else if (a.part == Part::property_names) {
            add_demand(name_demands, n.property_names, true);
        } else if (a.part == Part::unevaluated_properties) {
            described = described || !document_.node(n.unevaluated_properties).always;
        }
    }
    const Demands others = property_demands(alternative, {});
    const bool    wanted = !declared || described || out.min > out.properties.size();
    std::sort(name_demands.begin(), name_demands.end());
    if (is_false(name_demands)) {
        return;
    }
    if (const SchemaNode * only = finite(name_demands)) {
        if (wanted) {
            add_listed_names(alternative, *only, out);
        }
        return;
    }
    const auto entry = [&](const Pattern * chosen, const Demands & demands) {
        if (is_false(demands)) {
            return;
        }
        ObjectPlan::Free free;
        for (const Alternative & a : expand(name_demands, Domain::string)) {
            StringPlan plan = string_plan(a);
            plan.pointer    = out.pointer;
            for (const auto & p : patterns) {
                if (p.get() != chosen && p->parts().size() > 1) {
                    invalid_schema(out.pointer,
                                   "a look-ahead in patternProperties can't be enforced beside other patterns");
                }
                plan.patterns.push_back({ p, p.get() == chosen });
            }
            plan.excluded.insert(plan.excluded.end(), names.begin(), names.end());
            plan.min = plan.max == uint64_t{ 0 } ? plan.min : std::max<uint64_t>(plan.min, 1);
            if (finish(plan, true)) {
                free.names.push_back(std::move(plan));
            }
        }
        free.demands = id_of(demands);
        if (!free.names.empty()) {
            out.free.push_back(std::move(free));
        }
    };
    for (const auto & p : patterns) {
        entry(p.get(), property_demands(alternative, Name::matching(*p)));
    }
    // Names that match no pattern only where they are wanted.
    if (wanted && (patterns.empty() || described || out.free.empty())) {
        entry(nullptr, others);
    }
}

}  // namespace luup
