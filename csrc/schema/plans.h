// The plan of a schema: its meaning as alternatives of one type each, with bounds that a grammar can enforce. Where the
// exact meaning has no such form, a plan covers a part of it, so that everything made from it is valid.
#pragma once

#include "schema/determine.h"
#include "schema/document.h"
#include "schema/number.h"
#include "schema/validate.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace luup {

// A schema that a value must match, or must not match.
struct Demand {
    int  node;
    bool positive;

    bool operator<(const Demand & o) const { return std::tie(node, positive) < std::tie(o.node, o.positive); }
    bool operator==(const Demand & o) const { return node == o.node && positive == o.positive; }
};

// The demands on one value, sorted; without demands, any value is valid. Each set of demands has a plan; its id is the
// index of both.
using Demands = std::vector<Demand>;

struct StringPlan {
    uint64_t                   min = 0;  // characters
    std::optional<uint64_t>    max;
    std::vector<PatternUse>    patterns;
    std::vector<std::string>   excluded;
    std::string                pointer;
    std::shared_ptr<const Dfa> dfa;  // nullptr if the lengths are all that matters
    std::vector<uint32_t>      to_end;  // if `dfa` does not count to `max`: by state, the fewest characters to an end

    static StringPlan at_least(uint64_t min) {
        StringPlan plan;
        plan.min = min;
        return plan;
    }
};

struct NumberPlan {
    NumberRange   range;
    std::string   pointer;
    NumberGrammar grammar;
};

struct ArrayPlan {
    std::vector<int>        prefix;  // ids of the first items
    int                     items = 0;  // id of the others
    uint64_t                min   = 0;
    std::optional<uint64_t> max;
    bool                    unique = false;
    std::string             pointer;

    int item(size_t index) const { return index < prefix.size() ? prefix[index] : items; }
};

struct ObjectPlan {
    struct Property {
        std::string name;
        int         demands;  // id
        bool        required;
    };
    // Properties with undeclared names.
    struct Free {
        std::vector<StringPlan> names;
        int                     demands;  // id
    };
    std::vector<Property>   properties;
    std::vector<Free>       free;
    uint64_t                min = 0;
    std::optional<uint64_t> max;
    std::string             pointer;

    // Returns nullptr if the property is not declared.
    const Property * property(const std::string & name) const;
};

// The alternatives for one set of demands.
struct Plan {
    bool                    any = false;  // no demands
    std::vector<Json>       values;  // alternatives that are single values
    std::vector<NumberPlan> numbers;
    std::vector<StringPlan> strings;
    std::vector<ArrayPlan>  arrays;
    std::vector<ObjectPlan> objects;

    // Whether all alternatives are single values.
    bool is_listed() const { return !any && numbers.empty() && strings.empty() && arrays.empty() && objects.empty(); }
};

// The plans of a document, made by SchemaPlanner.
class SchemaPlans {
  public:
    SchemaPlans(const SchemaDocument & document, std::vector<Demands> demands, std::vector<Plan> plans, int root);

    int          root() const { return root_; }
    size_t       size() const { return plans_.size(); }
    const Plan & plan(int id) const { return plans_[id]; }

    // Returns the least number of containers inside each other that a value needs, `impossible` if there is no value.
    int rank(int id) const { return ranks_[id]; }

    bool accepts(int id, const Json & value) const;

    // Returns all values of a plan if they are few.
    std::optional<std::vector<Json>> listed(int id) const;

    static constexpr int impossible = 1 << 20;
    static constexpr int any        = 0;  // the id without demands

  private:
    void rank_all();
    int  rank_of(const Plan & plan) const;
    int  rank_of(const ArrayPlan & array) const;
    int  rank_of(const ObjectPlan & object) const;

    SchemaValidator      validator_;
    std::vector<Demands> demands_;
    std::vector<Plan>    plans_;
    std::vector<int>     ranks_;
    int                  root_;
};

}  // namespace luup
