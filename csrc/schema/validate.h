// Validates JSON values by JSON Schema draft 2020-12, with messages that a language model can act on.
#pragma once

#include "schema/document.h"

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace luup {

class SchemaValidator {
  public:
    explicit SchemaValidator(const SchemaDocument & document) : document_(document) {}

    bool is_valid(int node, const Json & value) const;

    // Returns "" if the value is valid, else the error with its JSON pointer.
    std::string error(int node, const Json & value) const;

  private:
    // The children that have been evaluated by some keyword, by address.
    using Evaluated = std::set<const Json *>;

    // The hint of an error about the choice of an alternative: a wrong type means that another alternative was meant,
    // and so does a wrong value one level below (a discriminator).
    enum class Kind { type, value, other };

    struct Report {
        std::string pointer;  // of the current value
        std::string message;
        size_t      depth = 0;  // of the invalid value
        Kind        kind  = Kind::other;
    };

    // Results for schemas that are referenced. Without them, references could double the work at each level.
    struct Answer {
        bool      ok;
        Evaluated evaluated;
        Report    report;
    };
    using Memory = std::map<std::tuple<int, const Json *, bool>, Answer>;

    struct Frame {
        Evaluated * evaluated;  // nullptr if not needed
        Report *    report;     // nullptr if not needed
        Memory *    memory;
    };

    bool check(int id, const Json & value, Frame frame) const;
    bool check_once(const SchemaNode & node, const Json & value, Frame frame) const;
    bool check_values(const SchemaNode & node, const Json & value, Frame frame) const;
    bool check_number(const SchemaNode & node, const Json & value, Frame frame) const;
    bool check_string(const SchemaNode & node, const Json & value, Frame frame) const;
    bool check_array(const SchemaNode & node, const Json & value, Frame frame) const;
    bool check_contains(const SchemaNode & node, const Json & value, Frame frame) const;
    bool check_object(const SchemaNode & node, const Json & value, Frame frame) const;
    bool check_properties(const SchemaNode & node, const Json & value, Frame frame) const;
    bool check_dependent(const SchemaNode & node, const Json & value, Frame frame) const;
    bool check_applicators(const SchemaNode & node, const Json & value, Frame frame) const;
    bool check_any(const std::vector<int> & ids, const Json & value, bool one, Frame frame) const;
    bool check_condition(const SchemaNode & node, const Json & value, Frame frame) const;
    bool check_unevaluated(const SchemaNode & node, const Json & value, Frame frame) const;
    bool check_child(int id, const Json & child, const std::string & key, Frame frame) const;

    static bool   wrong(Frame frame, const std::string & what, Kind kind = Kind::other);
    static size_t closeness(const Report & report, size_t depth);

    const SchemaDocument & document_;
};

}  // namespace luup
