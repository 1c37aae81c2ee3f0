// Where in a schema a position in an instance is: the ids of the plans that a value there may follow.
#pragma once

#include "schema/plans.h"

#include <algorithm>
#include <string>
#include <vector>

namespace luup {

inline void add_id(std::vector<int> & ids, int id) {
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) {
        ids.push_back(id);
    }
}

// Adds the plans of a property.
inline void add_property(std::vector<int> & ids, const ObjectPlan & plan, const std::string & name) {
    if (const ObjectPlan::Property * declared = plan.property(name)) {
        add_id(ids, declared->demands);
        return;
    }
    for (const auto & f : plan.free) {
        add_id(ids, f.demands);
    }
}

}  // namespace luup
