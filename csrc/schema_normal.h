// What a set of schemas means together: alternatives, each of one type and with bounds that a grammar can keep. Where the exact meaning can't be told,
// a part of it is taken, so that everything made from it is valid.
#pragma once

#include "schema_node.h"
#include "schema_number.h"
#include "schema_validate.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace luup {

// Schemas that a value must fulfil, or must not (`positive` false), sorted; none = any value.
struct Demand {
    int  node;
    bool positive;

    bool operator<(const Demand & o) const { return std::tie(node, positive) < std::tie(o.node, o.positive); }

    bool operator==(const Demand & o) const { return node == o.node && positive == o.positive; }
};

using Demands = std::vector<Demand>;

struct StringPlan {
    uint64_t                   min = 0;
    std::optional<uint64_t>    max;
    std::vector<PatternUse>    patterns;
    std::vector<std::string>   excluded;
    std::string                pointer;
    std::shared_ptr<const Dfa> dfa;  // where a length does not say it all
};

struct NumberPlan {
    NumberRange   range;
    std::string   pointer;
    NumberGrammar grammar;
};

struct ArrayPlan {
    std::vector<int>        prefix;  // ids of demands
    int                     items = 0;
    uint64_t                min   = 0;
    std::optional<uint64_t> max;
    bool                    unique = false;
    std::string             pointer;
};

struct ObjectPlan {
    struct Property {
        std::string name;
        int         demands;
        bool        required;
    };
    struct Free {  // entries with names of their own
        std::vector<StringPlan> names;
        int                     demands;
    };
    std::vector<Property>   properties;
    std::vector<Free>       free;
    uint64_t                min = 0;
    std::optional<uint64_t> max;
    std::string             pointer;
};

// The alternatives for one set of demands.
struct Plan {
    bool                    any = false;  // no demands at all
    std::vector<Json>       values;       // finite alternatives
    std::vector<NumberPlan> numbers;
    std::vector<StringPlan> strings;
    std::vector<ArrayPlan>  arrays;
    std::vector<ObjectPlan> objects;
};

class SchemaPlans {
  public:
    // Throws Error where the schema can't be enforced.
    explicit SchemaPlans(const SchemaDocument & document);

    int root() const { return root_; }

    size_t size() const { return plans_.size(); }

    const Plan & plan(int id) const { return plans_[id]; }

    const Demands & demands(int id) const { return demands_[id]; }

    // The least number of containers in each other that a value takes; `impossible` if there is no value at all.
    int rank(int id) const { return ranks_[id]; }

    static constexpr int impossible = 1 << 20;

    bool accepts(int id, const Json & value) const;

    // All values, if they are few enough to be listed.
    std::optional<std::vector<Json>> listed(int id) const;

    static constexpr size_t max_distinct_items = 256;  // of one array, by their place

    static constexpr int any = 0;  // the id of no demands

  private:
    enum class Domain { null,
                        boolean,
                        number,
                        string,
                        array,
                        object };

    enum class Part { number,
                      integer,
                      values,
                      below,
                      above,
                      minimum,
                      maximum,
                      exclusive_minimum,
                      exclusive_maximum,
                      multiple_of,
                      min_length,
                      max_length,
                      pattern,
                      format,
                      items,
                      min_items,
                      max_items,
                      unique_items,
                      contains,
                      properties,
                      property,
                      property_names,
                      required,
                      min_properties,
                      max_properties,
                      lacks,
                      dependent,
                      has,
                      unevaluated_items,
                      unevaluated_properties };

    // One keyword of one node, or its opposite; `index` says which of several. Silent ones stand below "not" and evaluate nothing.
    struct Atom {
        Part part;
        int  node;
        int  index    = 0;
        bool positive = true;
        bool silent   = false;

        bool operator<(const Atom & o) const { return std::tie(node, part, index, positive, silent) < std::tie(o.node, o.part, o.index, o.positive, o.silent); }

        bool operator==(const Atom & o) const {
            return std::tie(node, part, index, positive, silent) == std::tie(o.node, o.part, o.index, o.positive, o.silent);
        }
    };

    using Alternative  = std::vector<Atom>;         // all of these, sorted
    using Alternatives = std::vector<Alternative>;  // any of these

    // A name of a property: a given one, or any that is not declared and matches no pattern but `pattern`.
    struct Name {
        const std::string * text    = nullptr;
        const Pattern *     pattern = nullptr;
    };

    // Expansion
    Alternatives expand(const Demands & demands, Domain domain);
    Alternatives expand(int id, Domain domain, bool positive, bool silent);
    Alternatives expand_positive(int id, Domain domain, bool silent);
    Alternatives expand_negative(int id, Domain domain);
    Alternatives expand_one_of(int id, Domain domain, bool silent);
    Alternatives expand_condition(int id, Domain domain, bool silent);
    Alternatives expand_dependent(int id, bool silent);
    Alternative  own_atoms(int id, Domain domain, bool silent);
    void         negate_own(int id, Domain domain, Alternatives & out);
    void         negate_values(int id, Domain domain, Alternatives & out);
    Alternatives both(const Alternatives & a, const Alternatives & b, int id);
    bool         has_value_of(const SchemaNode & node, Domain domain) const;
    static bool  allows(const SchemaNode & node, Domain domain);
    static void  add(Alternatives & all, const Alternatives & more);

    // Emptiness, to be relied on: false also means "not known".
    bool is_empty(const Demands & demands, int depth);
    bool contradicts(const Alternative & alternative, Domain domain, const Demands & demands, int depth);
    bool contradicts_array(const Alternative & alternative, int depth);
    bool contradicts_object(const Alternative & alternative, int depth);

    // Plans
    int                      id_of(Demands demands);
    void                     make_plan(int id);
    void                     plan_alternative(const Alternative & alternative, Domain domain, Plan & plan);
    const SchemaNode *       finite(const Demands & demands) const;
    NumberPlan               number_plan(const Alternative & alternative) const;
    StringPlan               string_plan(const Alternative & alternative) const;
    bool                     finish(StringPlan & plan, uint64_t usual_max) const;
    ArrayPlan                array_plan(const Alternative & alternative);
    bool                     object_plan(const Alternative & alternative, ObjectPlan & out);
    void                     add_free(const Alternative & alternative, ObjectPlan & out);
    void                     add_named(const std::string & name, int demands, ObjectPlan & out) const;
    Demands                  property_demands(const Alternative & alternative, const Name & name) const;
    Demands                  item_demands(const Alternative & alternative, size_t index) const;
    std::vector<std::string> names_of(const Alternative & alternative) const;
    bool                     requires_name(const Alternative & alternative, const std::string & name) const;
    bool                     forbids_name(const Alternative & alternative, const std::string & name) const;
    void                     count_items(const Alternative & alternative, ArrayPlan & out, size_t & prefix) const;
    bool                     evaluates(const Alternative & scope, const Name & name) const;
    bool                     evaluates(const Alternative & scope, size_t index) const;
    bool                     matches(const Pattern & pattern, const Name & name) const;
    const SchemaNode &       node(const Atom & atom) const { return document_.node(atom.node); }
    void                     add_demand(Demands & out, int node, bool positive) const;
    bool                     is_false(const Demands & demands) const;
    void                     rank_all();
    int                      rank_of(const Plan & plan) const;

    struct Expansion {
        Alternatives all;
        bool         inexact;
    };

    const SchemaDocument &                                   document_;
    SchemaValidator                                          validator_;
    std::vector<Demands>                                     demands_;
    std::map<Demands, int>                                   ids_;
    std::vector<Plan>                                        plans_;
    std::vector<int>                                         ranks_;
    std::vector<Alternative>                                 scopes_;  // of "unevaluated…": what lies below the node
    std::map<std::tuple<int, Domain, bool, bool>, Expansion> expansions_;
    std::string                                              first_gap_;  // the first part that could not be negated
    bool                                                     inexact_ = false;
    size_t                                                   work_    = 0;
    int                                                      root_    = 0;
};

}  // namespace luup
