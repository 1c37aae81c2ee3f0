// Makes the plans of a document: resolves allOf, anyOf, oneOf, not, if and $ref to alternatives of keywords, and turns
// each alternative into bounds, items and properties.
#pragma once

#include "schema/document.h"
#include "schema/plans.h"
#include "schema/validate.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace luup {

class SchemaPlanner {
  public:
    explicit SchemaPlanner(const SchemaDocument & document);

    // Call it once. Throws Error(LUUP_ERROR_INVALID_SCHEMA) if the schema can't be enforced. The document must outlive
    // the plans.
    std::unique_ptr<const SchemaPlans> plan();

  private:
    // The types of values that alternatives cover. Null, true and false are listed instead.
    enum class Domain { number, string, array, object };

    enum class Part {
        number,   // the type is given
        integer,  // the type is integer
        values,
        below,  // less than a value of enum
        above,  // more than a value of enum
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
        property,  // one of the declared properties does not match
        property_names,
        required,
        min_properties,
        max_properties,
        lacks,      // a required property is absent
        dependent,  // an entry of dependentRequired
        has,        // the property of an entry of dependentSchemas is present
        unevaluated_items,
        unevaluated_properties
    };

    // One keyword of one node, or its opposite. `index` selects one of its entries. Silent ones are below "not": they
    // give no annotations.
    struct Atom {
        Part part;
        int  node;
        int  index    = 0;
        bool positive = true;
        bool silent   = false;

        bool operator<(const Atom & o) const {
            return std::tie(node, part, index, positive, silent) <
                   std::tie(o.node, o.part, o.index, o.positive, o.silent);
        }

        bool operator==(const Atom & o) const {
            return std::tie(node, part, index, positive, silent) ==
                   std::tie(o.node, o.part, o.index, o.positive, o.silent);
        }
    };

    // A value matches an alternative if it satisfies all of its atoms, which are sorted.
    using Alternative  = std::vector<Atom>;
    using Alternatives = std::vector<Alternative>;

    // The name of a property: `text`, or any undeclared name that matches no pattern except `pattern`.
    struct Name {
        const std::string * text    = nullptr;
        const Pattern *     pattern = nullptr;

        static Name given(const std::string & text) { return { &text, nullptr }; }
        static Name matching(const Pattern & pattern) { return { nullptr, &pattern }; }
    };

    // The alternatives of demands (expand.cpp, negate.cpp).
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

    // Whether demands contradict each other (emptiness.cpp). False also means "not known".
    bool is_empty(const Demands & demands, int depth);
    bool contradicts(const Alternative & alternative, Domain domain, const Demands & demands, int depth);
    bool contradicts_array(const Alternative & alternative, int depth);
    bool contradicts_object(const Alternative & alternative, int depth);

    // Ids and demands, and the plans of one set of demands (planner.cpp).
    int                id_of(Demands demands);
    void               make_plan(int id);
    void               plan_alternative(const Alternative & alternative, Domain domain, Plan & plan);
    const SchemaNode * finite(const Demands & demands) const;
    bool               accepts(const Demands & demands, const Json & value) const;
    void               add_demand(Demands & out, int node, bool positive) const;
    bool               is_false(const Demands & demands) const;
    const SchemaNode & node(const Atom & atom) const { return document_.node(atom.node); }

    // Numbers and strings (plan_scalars.cpp).
    NumberPlan number_plan(const Alternative & alternative) const;
    StringPlan string_plan(const Alternative & alternative) const;
    bool       finish(StringPlan & plan, bool is_name) const;

    // Arrays (plan_arrays.cpp).
    ArrayPlan array_plan(const Alternative & alternative);
    Demands   item_demands(const Alternative & alternative, size_t index) const;
    void      count_items(const Alternative & alternative, ArrayPlan & out, size_t & prefix) const;
    bool      evaluates(const Alternative & scope, size_t index) const;

    // Objects (plan_objects.cpp).
    bool    object_plan(const Alternative & alternative, ObjectPlan & out);
    void    count_properties(const Alternative & alternative, ObjectPlan & out) const;
    void    add_free(const Alternative & alternative, ObjectPlan & out);
    void    add_listed_names(const Alternative & alternative, const SchemaNode & allowed, ObjectPlan & out);
    Demands property_demands(const Alternative & alternative, const Name & name) const;
    std::vector<std::string> names_of(const Alternative & alternative) const;
    bool                     requires_name(const Alternative & alternative, const std::string & name) const;
    bool                     forbids_name(const Alternative & alternative, const std::string & name) const;
    bool                     evaluates(const Alternative & scope, const Name & name) const;
    bool                     matches(const Pattern & pattern, const Name & name) const;

    struct Expansion {
        Alternatives all;
        bool         inexact;
    };

    const SchemaDocument & document_;
    SchemaValidator        validator_;
    std::vector<Demands>   demands_;
    std::map<Demands, int> ids_;
    std::vector<Plan>      plans_;

    // For each "unevaluated…": the alternative whose annotations it sees.
    std::vector<Alternative> scopes_;

    std::map<std::tuple<int, Domain, bool, bool>, Expansion> expansions_;

    std::string first_gap_;        // pointer of the first keyword that could not be negated
    bool        inexact_ = false;  // whether the current expansion leaves out alternatives
    size_t      work_    = 0;      // steps of expansion so far
};

}  // namespace luup
