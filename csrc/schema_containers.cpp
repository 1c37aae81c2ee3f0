// Plans of arrays and objects: what their items and properties must be, and which names are open.
#include "schema_normal.h"

#include <algorithm>

namespace luup {

namespace {

constexpr uint64_t max_counted = 10000;  // items or properties that must be there
constexpr uint64_t usual_name  = 48;     // characters of a name that is not declared

}  // namespace

// --- arrays ---

void SchemaPlans::count_items(const Alternative & alternative, ArrayPlan & out, size_t & prefix) const {
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
                    distinct(inner.part == Part::items ? node(inner).prefix_items.size() : inner.part == Part::contains ? node(inner).min_contains
                                                                                                                        : 0);
                }
                break;
            default: break;
        }
    }
}

ArrayPlan SchemaPlans::array_plan(const Alternative & alternative) {
    ArrayPlan out;
    size_t    prefix = 0;
    count_items(alternative, out, prefix);
    if (out.max) {
        prefix = std::min<size_t>(prefix, *out.max);
    }
    if (out.min > max_counted) {
        invalid_schema(out.pointer, "asks for more than 10,000 items");
    }
    if (prefix > max_distinct_items) {
        invalid_schema(out.pointer, "tells more than 256 items apart");
    }
    for (size_t i = 0; i < prefix; i++) {
        out.prefix.push_back(id_of(item_demands(alternative, i)));
    }
    out.items = id_of(item_demands(alternative, prefix));
    return out;
}

bool SchemaPlans::evaluates(const Alternative & scope, size_t index) const {
    return std::any_of(scope.begin(), scope.end(), [&](const Atom & a) {
        if (!a.positive || a.silent) {
            return false;
        }
        return (a.part == Part::items && (node(a).items >= 0 || index < node(a).prefix_items.size())) ||
               (a.part == Part::contains && index < node(a).min_contains) || a.part == Part::unevaluated_items;
    });
}

Demands SchemaPlans::item_demands(const Alternative & alternative, size_t index) const {
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

// --- objects ---

bool SchemaPlans::matches(const Pattern & pattern, const Name & name) const {
    return name.text ? pattern.search(*name.text) : name.pattern && name.pattern->source() == pattern.source();
}

bool SchemaPlans::evaluates(const Alternative & scope, const Name & name) const {
    return std::any_of(scope.begin(), scope.end(), [&](const Atom & a) {
        if (!a.positive || a.silent) {
            return false;
        }
        const SchemaNode & n = node(a);
        if (a.part == Part::properties) {
            return n.additional >= 0 || (name.text && n.property(*name.text) >= 0) ||
                   std::any_of(n.pattern_properties.begin(), n.pattern_properties.end(), [&](const auto & p) { return matches(*p.first, name); });
        }
        return a.part == Part::unevaluated_properties;
    });
}

Demands SchemaPlans::property_demands(const Alternative & alternative, const Name & name) const {
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

// In the order in which the schemas name them.
std::vector<std::string> SchemaPlans::names_of(const Alternative & alternative) const {
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
            std::for_each(n.dependent_required[a.index].second.begin(), n.dependent_required[a.index].second.end(), take);
        } else if (a.part == Part::has) {
            take(n.dependent_schemas[a.index].first);
        }
    }
    return out;
}

bool SchemaPlans::requires_name(const Alternative & alternative, const std::string & name) const {
    const auto in = [&](const std::vector<std::string> & names) { return std::find(names.begin(), names.end(), name) != names.end(); };
    return std::any_of(alternative.begin(), alternative.end(), [&](const Atom & a) {
        const SchemaNode & n = node(a);
        switch (a.part) {
            case Part::required: return in(n.required);
            case Part::property: return n.properties[a.index].first == name;
            case Part::dependent: return a.positive && (n.dependent_required[a.index].first == name || in(n.dependent_required[a.index].second));
            case Part::has: return a.positive && n.dependent_schemas[a.index].first == name;
            default: return false;
        }
    });
}

bool SchemaPlans::forbids_name(const Alternative & alternative, const std::string & name) const {
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

// False: there is no such object.
bool SchemaPlans::object_plan(const Alternative & alternative, ObjectPlan & out) {
    for (const Atom & a : alternative) {
        const SchemaNode & n = node(a);
        out.pointer          = out.pointer.empty() ? n.pointer : out.pointer;
        if (a.part == Part::min_properties) {
            a.positive ? void(out.min = std::max(out.min, *n.min_properties))
                       : void(out.max = std::min(out.max.value_or(*n.min_properties - 1), *n.min_properties - 1));
        } else if (a.part == Part::max_properties) {
            a.positive ? void(out.max = std::min(out.max.value_or(*n.max_properties), *n.max_properties))
                       : void(out.min = std::max(out.min, *n.max_properties + 1));
        }
    }
    uint64_t required = 0;
    for (const std::string & name : names_of(alternative)) {
        const bool    needed  = requires_name(alternative, name);
        const Demands demands = property_demands(alternative, { &name, nullptr });
        if (forbids_name(alternative, name) || is_false(demands)) {
            if (needed) {
                return false;
            }
            continue;
        }
        required += needed;
        out.properties.push_back({ name, id_of(demands), needed });
    }
    if (out.min > max_counted) {
        invalid_schema(out.pointer, "asks for more than 10,000 properties");
    }
    add_free(alternative, out);
    if (out.min > out.properties.size() && out.free.empty()) {
        return false;
    }
    return !out.max || (out.min <= *out.max && required <= *out.max);
}

// Entries whose names the schema leaves open: where nothing else can be there, or where the schema tells what they are.
void SchemaPlans::add_free(const Alternative & alternative, ObjectPlan & out) {
    const std::vector<std::string>              names = names_of(alternative);
    std::vector<std::shared_ptr<const Pattern>> patterns;
    Demands                                     name_demands;
    bool                                        described = false;
    for (const Atom & a : alternative) {
        const SchemaNode & n = node(a);
        if (a.part == Part::properties) {
            for (const auto & p : n.pattern_properties) {
                if (std::none_of(patterns.begin(), patterns.end(), [&](const auto & o) { return o->source() == p.first->source(); })) {
                    patterns.push_back(p.first);
                }
            }
            described = described || (n.additional >= 0 && !document_.node(n.additional).always && !document_.json().is_boolean());
        } else if (a.part == Part::property_names) {
            add_demand(name_demands, n.property_names, true);
        } else if (a.part == Part::unevaluated_properties) {
            described = described || !document_.node(n.unevaluated_properties).always;
        }
    }
    const Demands others = property_demands(alternative, {});
    const bool    wanted = out.properties.empty() || described || out.min > out.properties.size();
    std::sort(name_demands.begin(), name_demands.end());
    if (is_false(name_demands)) {
        return;
    }
    if (const SchemaNode * only = finite(name_demands)) {
        for (const Json & v : only->values) {
            if (!v.is_string() || std::find(names.begin(), names.end(), v.get<std::string>()) != names.end() ||
                forbids_name(alternative, v.get<std::string>())) {
                continue;
            }
            const std::string name    = v.get<std::string>();
            const Demands     demands = property_demands(alternative, { &name, nullptr });
            if (wanted && !is_false(demands)) {
                out.properties.push_back({ name, id_of(demands), false });
            }
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
                    invalid_schema(out.pointer, "patternProperties with look-ahead beside others can't be enforced");
                }
                plan.patterns.push_back({ p, p.get() == chosen });
            }
            plan.excluded.insert(plan.excluded.end(), names.begin(), names.end());
            plan.min = plan.max == uint64_t{ 0 } ? plan.min : std::max<uint64_t>(plan.min, 1);
            if (finish(plan, usual_name)) {
                free.names.push_back(std::move(plan));
            }
        }
        free.demands = id_of(demands);
        if (!free.names.empty()) {
            out.free.push_back(std::move(free));
        }
    };
    for (const auto & p : patterns) {
        entry(p.get(), property_demands(alternative, { nullptr, p.get() }));
    }
    // Names beyond the patterns only where they are asked for.
    if (wanted && (patterns.empty() || described || out.free.empty())) {
        entry(nullptr, others);
    }
}

}  // namespace luup
