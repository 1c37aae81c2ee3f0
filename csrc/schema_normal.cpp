// Alternatives of keywords as plans: bounds, items and properties that a grammar can keep.
#include "schema_normal.h"

#include "schema_format.h"

#include <algorithm>
#include <stdexcept>

namespace luup {

namespace {

constexpr size_t   max_plans       = 4000;
constexpr uint64_t usual_text      = 512;  // characters of a string without maxLength
constexpr int      emptiness_depth = 3;

}  // namespace

SchemaPlans::SchemaPlans(const SchemaDocument & document) : document_(document), validator_(document) {
    id_of({});
    Demands all;
    add_demand(all, document.root(), true);
    root_ = id_of(std::move(all));
    for (size_t i = 0; i < demands_.size(); i++) {
        plans_.emplace_back();
        make_plan(static_cast<int>(i));
    }
    rank_all();
    if (ranks_[root_] >= impossible) {
        invalid_schema("", "no value can be valid");
    }
}

bool SchemaPlans::accepts(int id, const Json & value) const {
    return std::all_of(demands_[id].begin(), demands_[id].end(), [&](const Demand & d) { return validator_.is_valid(d.node, value) == d.positive; });
}

void SchemaPlans::add_demand(Demands & out, int node, bool positive) const {
    const SchemaNode & n = document_.node(node);
    if (n.always && *n.always == positive) {
        return;
    }
    const Demand d{ node, positive };
    if (std::find(out.begin(), out.end(), d) == out.end()) {
        out.push_back(d);
    }
}

bool SchemaPlans::is_false(const Demands & demands) const {
    return std::any_of(demands.begin(), demands.end(), [&](const Demand & d) { return document_.node(d.node).always.has_value(); });
}

int SchemaPlans::id_of(Demands demands) {
    std::sort(demands.begin(), demands.end());
    const auto [it, added] = ids_.emplace(demands, static_cast<int>(demands_.size()));
    if (added) {
        if (demands_.size() >= max_plans) {
            invalid_schema("", "has too many combinations of schemas");
        }
        demands_.push_back(std::move(demands));
    }
    return it->second;
}

// A node whose values are the only ones possible.
const SchemaNode * SchemaPlans::finite(const Demands & demands) const {
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

void SchemaPlans::make_plan(int id) {
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
    const auto take = [&](const Json & v) {
        const bool known = std::any_of(plan.values.begin(), plan.values.end(), [&](const Json & o) { return equal_json(o, v); });
        if (!known && accepts(id, v)) {
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
            // What demands more than another alternative adds nothing.
            const bool covered = std::any_of(
                all.begin(), all.end(), [&](const Alternative & o) { return o.size() < a.size() && std::includes(a.begin(), a.end(), o.begin(), o.end()); });
            if (covered || contradicts(a, domain, demands, emptiness_depth)) {
                continue;
            }
            const auto values = std::find_if(a.begin(), a.end(), [](const Atom & atom) { return atom.part == Part::values && atom.positive; });
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
    if (inexact_ && plan.values.empty() && plan.numbers.empty() && plan.strings.empty() && plan.arrays.empty() && plan.objects.empty()) {
        invalid_schema(first_gap_.empty() ? document_.node(demands[0].node).pointer : first_gap_, "what must not fit this can't be enforced");
    }
    plans_[id] = std::move(plan);
}

void SchemaPlans::plan_alternative(const Alternative & alternative, Domain domain, Plan & plan) {
    if (domain == Domain::number) {
        NumberPlan number = number_plan(alternative);
        const bool named  = std::any_of(alternative.begin(), alternative.end(), [](const Atom & a) { return a.part == Part::number; });
        const bool binary = std::all_of(number.range.steps.begin(), number.range.steps.end(), is_binary_fraction);
        if (!named && !binary) {
            return;  // validators divide in binary: such multiples are made only where a number is asked for
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
        if (finish(text, usual_text)) {
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

// --- numbers and strings ---

NumberPlan SchemaPlans::number_plan(const Alternative & alternative) const {
    NumberPlan out;
    for (const Atom & a : alternative) {
        const SchemaNode & n = node(a);
        out.pointer          = out.pointer.empty() ? n.pointer : out.pointer;
        const bool no        = !a.positive;
        // The opposite of "at least" is "less than", and so on.
        switch (a.part) {
            case Part::integer: out.range.integer = true; break;
            case Part::minimum: no ? out.range.at_most(Decimal::from(*n.minimum), true) : out.range.at_least(Decimal::from(*n.minimum), false); break;
            case Part::maximum: no ? out.range.at_least(Decimal::from(*n.maximum), true) : out.range.at_most(Decimal::from(*n.maximum), false); break;
            case Part::exclusive_minimum:
                no ? out.range.at_most(Decimal::from(*n.exclusive_minimum), false) : out.range.at_least(Decimal::from(*n.exclusive_minimum), true);
                break;
            case Part::exclusive_maximum:
                no ? out.range.at_least(Decimal::from(*n.exclusive_maximum), false) : out.range.at_most(Decimal::from(*n.exclusive_maximum), true);
                break;
            case Part::below: out.range.at_most(Decimal::from(n.values[a.index]), true); break;
            case Part::above: out.range.at_least(Decimal::from(n.values[a.index]), true); break;
            case Part::multiple_of: out.range.steps.push_back(Decimal::from(*n.multiple_of)); break;
            default: break;
        }
    }
    return out;
}

StringPlan SchemaPlans::string_plan(const Alternative & alternative) const {
    StringPlan out;
    const auto at_least = [&](uint64_t n) { out.min = std::max(out.min, n); };
    const auto at_most  = [&](uint64_t n) { out.max = std::min(out.max.value_or(n), n); };
    for (const Atom & a : alternative) {
        const SchemaNode & n = node(a);
        out.pointer          = out.pointer.empty() ? n.pointer : out.pointer;
        switch (a.part) {
            case Part::min_length: a.positive ? at_least(*n.min_length) : at_most(*n.min_length - 1); break;
            case Part::max_length: a.positive ? at_most(*n.max_length) : at_least(*n.max_length + 1); break;
            case Part::pattern: out.patterns.push_back({ n.pattern, a.positive }); break;
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

// Builds the automaton if there is need of one. False: there is no such string.
bool SchemaPlans::finish(StringPlan & plan, uint64_t usual_max) const {
    if (plan.max && plan.min > *plan.max) {
        return false;
    }
    if (plan.min > 100000) {
        invalid_schema(plan.pointer, "asks for strings of more than 100,000 characters");
    }
    if (plan.patterns.empty() && plan.excluded.empty()) {
        plan.max = plan.max ? *plan.max : std::max(usual_max, plan.min + usual_max / 2);
        return true;
    }
    TextLimits limits;
    limits.min  = plan.min;
    limits.max  = plan.max ? *plan.max : std::max(usual_max, 2 * plan.min);
    limits.hard = plan.max.has_value();
    try {
        plan.dfa = std::make_shared<const Dfa>(build_dfa(plan.patterns, plan.excluded, limits));
    } catch (const std::length_error & e) {
        invalid_schema(plan.pointer, e.what());
    }
    return !plan.dfa->states.empty();
}

// --- emptiness ---

bool SchemaPlans::is_empty(const Demands & demands, int depth) {
    if (is_false(demands)) {
        return true;
    }
    if (depth == 0 || demands.empty()) {
        return false;
    }
    const auto fits = [&](const Json & v) {
        return std::all_of(demands.begin(), demands.end(), [&](const Demand & d) { return validator_.is_valid(d.node, v) == d.positive; });
    };
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
        empty                  = empty && !inexact_ && std::all_of(all.begin(), all.end(), [&](const Alternative & a) { return contradicts(a, domain, demands, depth); });
        if (!empty) {
            break;
        }
    }
    inexact_ = before;
    return empty;
}

bool SchemaPlans::contradicts(const Alternative & alternative, Domain domain, const Demands & demands, int depth) {
    work_ += alternative.size() + 1;
    for (const Atom & a : alternative) {
        if (a.part == Part::values && a.positive) {
            const auto & values = node(a).values;
            return std::none_of(values.begin(), values.end(), [&](const Json & v) {
                return std::all_of(demands.begin(), demands.end(), [&](const Demand & d) { return validator_.is_valid(d.node, v) == d.positive; });
            });
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
    return domain == Domain::array ? contradicts_array(alternative, depth) : domain == Domain::object && contradicts_object(alternative, depth);
}

bool SchemaPlans::contradicts_array(const Alternative & alternative, int depth) {
    ArrayPlan plan;
    size_t    prefix = 0;
    count_items(alternative, plan, prefix);
    if (plan.max && plan.min > *plan.max) {
        return true;
    }
    for (size_t i = 0; i < std::min<size_t>(plan.min, prefix + 1) && i < max_distinct_items; i++) {
        // Which items contain something is our choice, so their demands say nothing here.
        const bool chosen = std::any_of(alternative.begin(), alternative.end(), [](const Atom & a) { return a.part == Part::contains && a.positive; });
        if (!chosen && is_empty(item_demands(alternative, i), depth - 1)) {
            return true;
        }
    }
    return false;
}

bool SchemaPlans::contradicts_object(const Alternative & alternative, int depth) {
    for (const std::string & name : names_of(alternative)) {
        if (requires_name(alternative, name) && (forbids_name(alternative, name) || is_empty(property_demands(alternative, { &name, nullptr }), depth - 1))) {
            return true;
        }
    }
    return false;
}

// --- ranks ---

std::optional<std::vector<Json>> SchemaPlans::listed(int id) const {
    const Plan & plan = plans_[id];
    if (plan.any || !plan.strings.empty() || !plan.arrays.empty() || !plan.objects.empty() || plan.numbers.size() > 1) {
        return std::nullopt;
    }
    std::vector<Json> out = plan.values;
    if (!plan.numbers.empty()) {
        if (!plan.numbers[0].grammar.values) {
            return std::nullopt;
        }
        for (const int64_t v : *plan.numbers[0].grammar.values) {
            if (std::none_of(out.begin(), out.end(), [&](const Json & o) { return equal_json(o, v); })) {
                out.push_back(v);
            }
        }
    }
    return out;
}

int SchemaPlans::rank_of(const Plan & plan) const {
    if (plan.any || !plan.values.empty() || !plan.numbers.empty() || !plan.strings.empty()) {
        return 0;
    }
    int best = impossible;
    for (const ArrayPlan & a : plan.arrays) {
        int        rank  = 0;
        const auto kinds = a.unique && a.prefix.empty() ? listed(a.items) : std::nullopt;
        if (kinds && kinds->size() < a.min) {
            continue;
        }
        for (size_t i = 0; i < a.min && i <= a.prefix.size(); i++) {
            rank = std::max(rank, ranks_[i < a.prefix.size() ? a.prefix[i] : a.items]);
        }
        best = std::min(best, rank + 1);
    }
    for (const ObjectPlan & o : plan.objects) {
        int              rank = 0;
        size_t           open = 0;
        std::vector<int> optional;
        for (const auto & p : o.properties) {
            if (p.required) {
                rank = std::max(rank, ranks_[p.demands]);
                open++;
            } else {
                optional.push_back(ranks_[p.demands]);
            }
        }
        // minProperties takes the cheapest of the others.
        for (const auto & f : o.free) {
            optional.insert(optional.end(), o.min > open ? o.min - open : 0, ranks_[f.demands]);
        }
        std::sort(optional.begin(), optional.end());
        for (size_t i = 0; open < o.min; i++, open++) {
            rank = std::max(rank, i < optional.size() ? optional[i] : impossible);
        }
        best = std::min(best, rank + 1);
    }
    return std::min(best, impossible);
}

void SchemaPlans::rank_all() {
    ranks_.assign(plans_.size(), impossible);
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < plans_.size(); i++) {
            const int rank = rank_of(plans_[i]);
            if (rank < ranks_[i]) {
                ranks_[i] = rank;
                changed   = true;
            }
        }
    }
}

}  // namespace luup
