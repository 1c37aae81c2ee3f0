#include "schema/plans.h"

#include "schema/equality.h"
#include "schema/pointer.h"

#include <algorithm>
#include <utility>

namespace luup {

const ObjectPlan::Property * ObjectPlan::property(const std::string & name) const {
    const auto found =
        std::find_if(properties.begin(), properties.end(), [&](const Property & p) { return p.name == name; });
    return found == properties.end() ? nullptr : &*found;
}

SchemaPlans::SchemaPlans(const SchemaDocument & document, std::vector<Demands> demands, std::vector<Plan> plans,
                         int root)
    : validator_(document), demands_(std::move(demands)), plans_(std::move(plans)), root_(root) {
    rank_all();
    if (ranks_[root_] >= impossible) {
        invalid_schema("", "no value can be valid");
    }
}

bool SchemaPlans::accepts(int id, const Json & value) const {
    return std::all_of(demands_[id].begin(), demands_[id].end(),
                       [&](const Demand & d) { return validator_.is_valid(d.node, value) == d.positive; });
}

std::optional<std::vector<Json>> SchemaPlans::listed(int id) const {
    const Plan & plan = plans_[id];
    if (plan.any || !plan.strings.empty() || !plan.arrays.empty() || !plan.objects.empty() || plan.numbers.size() > 1) {
        return std::nullopt;
    }
    std::vector<Json> out = plan.values;
    JsonSet           known;
    for (const Json & v : out) {
        known.insert(v);
    }
    if (!plan.numbers.empty()) {
        if (!plan.numbers[0].grammar.values) {
            return std::nullopt;
        }
        for (const int64_t v : *plan.numbers[0].grammar.values) {
            if (known.insert(v)) {
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
    for (const ArrayPlan & array : plan.arrays) {
        best = std::min(best, rank_of(array));
    }
    for (const ObjectPlan & object : plan.objects) {
        best = std::min(best, rank_of(object));
    }
    return best;
}

int SchemaPlans::rank_of(const ArrayPlan & array) const {
    const auto values = array.unique && array.prefix.empty() ? listed(array.items) : std::nullopt;
    if (values && values->size() < array.min) {
        return impossible;
    }
    int rank = 0;
    for (size_t i = 0; i < array.min && i <= array.prefix.size(); i++) {
        rank = std::max(rank, ranks_[array.item(i)]);
    }
    return std::min(rank + 1, impossible);
}

int SchemaPlans::rank_of(const ObjectPlan & object) const {
    int              rank    = 0;
    size_t           entries = 0;
    std::vector<int> optional;
    for (const auto & p : object.properties) {
        if (p.required) {
            rank = std::max(rank, ranks_[p.demands]);
            entries++;
        } else {
            optional.push_back(ranks_[p.demands]);
        }
    }
    // minProperties takes the others with the lowest ranks.
    for (const auto & f : object.free) {
        optional.insert(optional.end(), object.min > entries ? object.min - entries : 0, ranks_[f.demands]);
    }
    std::sort(optional.begin(), optional.end());
    for (size_t i = 0; entries < object.min; i++, entries++) {
        rank = std::max(rank, i < optional.size() ? optional[i] : impossible);
    }
    return std::min(rank + 1, impossible);
}

// Ranks depend on each other in recursive schemas: lower them until nothing changes.
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
