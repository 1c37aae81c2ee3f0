#include "schema/planner.h"

#include "schema/equality.h"
#include "schema/limits.h"
#include "schema/number_grammar.h"
#include "schema/pointer.h"

#include <algorithm>
#include <set>
#include <stdexcept>

namespace luup {

SchemaPlanner::SchemaPlanner(const SchemaDocument & document) : document_(document), validator_(document) {}

std::unique_ptr<const SchemaPlans> SchemaPlanner::plan() {
    id_of({});
    Demands all;
    add_demand(all, document_.root(), true);
    const int root = id_of(std::move(all));
    for (size_t i = 0; i < demands_.size(); i++) {
        plans_.emplace_back();
        make_plan(static_cast<int>(i));
    }
    return std::make_unique<const SchemaPlans>(document_, std::move(demands_), std::move(plans_), root);
}

bool SchemaPlanner::accepts(const Demands & demands, const Json & value) const {
    return std::all_of(demands.begin(), demands.end(),
                       [&](const Demand & d) { return validator_.is_valid(d.node, value) == d.positive; });
}

void SchemaPlanner::add_demand(Demands & out, int node, bool positive) const {
    const SchemaNode & n = document_.node(node);
    if (n.always && *n.always == positive) {
        return;
    }
    const Demand d{ node, positive };
    if (std::find(out.begin(), out.end(), d) == out.end()) {
        out.push_back(d);
    }
}

bool SchemaPlanner::is_false(const Demands & demands) const {
    return std::any_of(demands.begin(), demands.end(),
                       [&](const Demand & d) { return document_.node(d.node).always.has_value(); });
}

int SchemaPlanner::id_of(Demands demands) {
    std::sort(demands.begin(), demands.end());
    const auto [it, added] = ids_.emplace(demands, static_cast<int>(demands_.size()));
    if (added) {
        if (demands_.size() >= schema_limits::plans) {
            invalid_schema("", "has too many combinations of schemas");
        }
        demands_.push_back(std::move(demands));
    }
    return it->second;
}

// Returns a node whose values are the only possible ones, or nullptr.
const SchemaNode * SchemaPlanner::finite(const Demands & demands) const {
    std::set<int>    seen;
    std::vector<int> todo;
    for (const Demand & d : demands) {
        if (d.positive) {
            todo.push_back(d.node);
        }
    }
    while (!todo.empty()) {
        const int id = todo.back();
        todo.pop_back();
        if (!seen.insert(id).second) {
            continue;
        }
        const SchemaNode & n = document_.node(id);
        if (n.has_values) {
            return &n;
        }
        if (n.reference >= 0) {
            todo.push_back(n.reference);
        }
        todo.insert(todo.end(), n.all_of.begin(), n.all_of.end());
    }
    return nullptr;
}

void SchemaPlanner::make_plan(int id) {
    const Demands demands = demands_[id];
    Plan          plan;
    if (demands.empty()) {
        plan.any   = true;
        plans_[id] = plan;
        return;
    }
    if (is_false(demands)) {
        return;
    }
    JsonSet    known;
    const auto take = [&](const Json & v) {
        if (known.insert(v) && accepts(demands, v)) {
            plan.values.push_back(v);
        }
    };
    if (const SchemaNode * only = finite(demands)) {
        std::for_each(only->values.begin(), only->values.end(), take);
        plans_[id] = plan;
        return;
    }
    inexact_ = false;
    first_gap_.clear();
    for (const Domain domain : { Domain::object, Domain::array, Domain::string, Domain::number }) {
        const Alternatives all = expand(demands, domain);
        for (const Alternative & a : all) {
            // An alternative with more atoms than another one, and all of its atoms, adds nothing.
            const bool covered = std::any_of(all.begin(), all.end(), [&](const Alternative & o) {
                return o.size() < a.size() && std::includes(a.begin(), a.end(), o.begin(), o.end());
            });
            if (covered || contradicts(a, domain, demands, schema_limits::emptiness_depth)) {
                continue;
            }
            const auto values = std::find_if(
                a.begin(), a.end(), [](const Atom & atom) { return atom.part == Part::values && atom.positive; });
            if (values != a.end()) {
                std::for_each(node(*values).values.begin(), node(*values).values.end(), take);
            } else {
                plan_alternative(a, domain, plan);
            }
        }
    }
    for (const Json & v : { Json(nullptr), Json(true), Json(false) }) {
        take(v);
    }
    if (inexact_ && plan.values.empty() && plan.is_listed()) {
        invalid_schema(first_gap_.empty() ? document_.node(demands[0].node).pointer : first_gap_,
                       "values that must not match this can't be enforced");
    }
    plans_[id] = std::move(plan);
}

void SchemaPlanner::plan_alternative(const Alternative & alternative, Domain domain, Plan & plan) {
    if (domain == Domain::number) {
        NumberPlan number = number_plan(alternative);
        const bool named =
            std::any_of(alternative.begin(), alternative.end(), [](const Atom & a) { return a.part == Part::number; });
        const bool binary = std::all_of(number.range.steps.begin(), number.range.steps.end(), is_binary_fraction);
        if (!named && !binary) {
            // Validators divide doubles, so multiples of 0.1 are made only where a number is required.
            return;
        }
        try {
            number.grammar = number_grammar(number.range);
        } catch (const std::length_error & e) {
            invalid_schema(number.pointer, e.what());
        }
        if (!number.grammar.expression.empty()) {
            plan.numbers.push_back(std::move(number));
        }
    } else if (domain == Domain::string) {
        StringPlan text = string_plan(alternative);
        if (finish(text, false)) {
            plan.strings.push_back(std::move(text));
        }
    } else if (domain == Domain::array) {
        ArrayPlan array = array_plan(alternative);
        if (!array.max || array.min <= *array.max) {
            plan.arrays.push_back(std::move(array));
        }
    } else {
        ObjectPlan object;
        if (object_plan(alternative, object)) {
            plan.objects.push_back(std::move(object));
        }
    }
}

}  // namespace luup
