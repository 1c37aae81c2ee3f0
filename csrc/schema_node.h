// A JSON Schema as nodes: keywords parsed and checked, references resolved, limits kept. What the validator and the grammar work on.
#pragma once

#include "schema_pattern.h"

#include <nlohmann/json.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace luup {

using Json = nlohmann::ordered_json;

enum SchemaType : unsigned {
    type_null    = 1,
    type_boolean = 2,
    type_integer = 4,
    type_number  = 8,
    type_string  = 16,
    type_array   = 32,
    type_object  = 64,
    all_types    = 127
};

struct SchemaNode {
    std::string         pointer;
    std::optional<bool> always;  // a boolean schema
    unsigned            types  = all_types;
    bool                shared = false;  // more than one schema leads here

    std::vector<Json> values;  // of enum and const
    bool              has_values = false;

    std::optional<Json> minimum, maximum, exclusive_minimum, exclusive_maximum, multiple_of;

    std::optional<uint64_t>        min_length, max_length;
    std::shared_ptr<const Pattern> pattern;
    std::string                    format;  // only one that is enforced

    std::vector<int>        prefix_items;
    int                     items = -1, contains = -1, unevaluated_items = -1;
    uint64_t                min_contains = 1;
    std::optional<uint64_t> max_contains, min_items, max_items;
    bool                    unique_items = false;

    std::vector<std::pair<std::string, int>>                      properties;
    std::vector<std::pair<std::shared_ptr<const Pattern>, int>>   pattern_properties;
    int                                                           additional = -1, property_names = -1, unevaluated_properties = -1;
    std::vector<std::string>                                      required;
    std::optional<uint64_t>                                       min_properties, max_properties;
    std::vector<std::pair<std::string, std::vector<std::string>>> dependent_required;
    std::vector<std::pair<std::string, int>>                      dependent_schemas;

    std::vector<int> all_of, any_of, one_of;
    int              negated = -1, condition = -1, consequence = -1, alternative = -1, reference = -1;

    int property(const std::string & name) const;  // the schema in `properties`, -1 if none
};

// "/a~1b" for the key "a/b" below "".
std::string pointer_to(const std::string & parent, const std::string & key);

// Throws Error(LUUP_ERROR_INVALID_SCHEMA): "<pointer>: <what>".
[[noreturn]] void invalid_schema(const std::string & pointer, const std::string & what);

class SchemaDocument {
  public:
    // Throws Error: bad JSON, a schema that is wrong, too large, or has a keyword that is not supported at all.
    explicit SchemaDocument(const std::string & text);

    const SchemaNode & node(int id) const { return nodes_[id]; }

    int root() const { return root_; }

    size_t size() const { return nodes_.size(); }

    const Json & json() const { return json_; }

    // Whether annotations have to be followed.
    bool has_unevaluated() const { return has_unevaluated_; }

  private:
    friend class SchemaReader;

    Json                    json_;
    std::vector<SchemaNode> nodes_;
    int                     root_            = 0;
    bool                    has_unevaluated_ = false;
};

}  // namespace luup
