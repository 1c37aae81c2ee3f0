// Equality of JSON values by the rules of JSON Schema.
#pragma once

#include "base/json.h"

#include <string>
#include <unordered_set>

namespace luup {

// Whether two values are equal: numbers by value (1 equals 1.0), objects with their properties in any order.
bool equal_json(const Json & a, const Json & b);

// Returns the same text for equal values.
std::string canonical_json(const Json & value);

// A set of values, of which equal ones count once.
class JsonSet {
  public:
    // Adds a value. Returns whether it is new.
    bool insert(const Json & value) { return texts_.insert(canonical_json(value)).second; }

    bool contains(const Json & value) const { return texts_.count(canonical_json(value)) > 0; }

  private:
    std::unordered_set<std::string> texts_;
};

}  // namespace luup
