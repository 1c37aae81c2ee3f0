// A schema as a node: its keywords, parsed and checked.
#pragma once

#include "base/json.h"
#include "schema/equality.h"
#include "schema/pattern.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace luup {

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

// The keywords of one schema. Other schemas are given by their index, -1 = none.
struct SchemaNode {
    std::string         pointer;
    std::optional<bool> always;  // the value of a boolean schema
    unsigned            types  = all_types;
    bool                shared = false;  // a reference leads here

    std::vector<Json> values;  // of enum and const
    JsonSet           value_set;  // the same
    bool              has_values = false;

    std::optional<Json> minimum, maximum, exclusive_minimum, exclusive_maximum, multiple_of;

    std::optional<uint64_t>        min_length, max_length;
    std::shared_ptr<const Pattern> pattern;
    std::string                    format;  // "" if it is not enforced

    std::vector<int>        prefix_items;
    int                     items = -1, contains = -1, unevaluated_items = -1;
    uint64_t                min_contains = 1;
    std::optional<uint64_t> max_contains, min_items, max_items;
    bool                    unique_items = false;

    bool                                     declares_properties = false;  // "properties" is there, perhaps without any
    std::vector<std::pair<std::string, int>> properties;
    std::vector<std::pair<std::shared_ptr<const Pattern>, int>> pattern_properties;
    int                      additional = -1, property_names = -1, unevaluated_properties = -1;
    std::vector<std::string> required;
    std::optional<uint64_t>  min_properties, max_properties;
    std::vector<std::pair<std::string, std::vector<std::string>>> dependent_required;
    std::vector<std::pair<std::string, int>>                      dependent_schemas;

    std::vector<int> all_of, any_of, one_of;
    int              negated = -1, condition = -1, consequence = -1, alternative = -1, reference = -1;

    // Returns the schema of a declared property, -1 if it is not declared.
    int property(const std::string & name) const {
        for (const auto & p : properties) {
            if (p.first == name) {
                return p.second;
            }
        }
        return -1;
    }
};

}  // namespace luup
