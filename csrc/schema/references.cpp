#include "schema/references.h"

#include "schema/limits.h"
#include "schema/pointer.h"
#include "schema/uri.h"

#include <set>
#include <utility>

namespace luup {

namespace {

constexpr size_t max_shown_reference = 200;  // bytes of a reference in an error message

// The keywords whose values are schemas, lists of schemas, and objects of schemas.
const std::set<std::string> with_schema = { "additionalProperties",
                                            "additionalItems",
                                            "contains",
                                            "propertyNames",
                                            "unevaluatedItems",
                                            "unevaluatedProperties",
                                            "not",
                                            "if",
                                            "then",
                                            "else" };
const std::set<std::string> with_list   = { "allOf", "anyOf", "oneOf", "prefixItems", "items" };
const std::set<std::string> with_names  = { "properties", "patternProperties", "dependentSchemas", "$defs",
                                            "definitions" };

// Returns nullptr if there is no such property or item.
const Json * child_of(const Json & json, const std::string & key) {
    if (json.is_object()) {
        const auto found = json.find(key);
        return found == json.end() ? nullptr : &*found;
    }
    const bool is_index =
        json.is_array() && !key.empty() && key.size() < 6 && key.find_first_not_of("0123456789") == std::string::npos;
    return is_index && std::stoul(key) < json.size() ? &json[std::stoul(key)] : nullptr;
}

}  // namespace

// Walks through the schemas that keywords contain. Other objects are not schemas, even if they have an $id.
void SchemaIndex::add(const Json & schema, const std::string & pointer, std::string base, size_t depth) {
    if (depth > schema_limits::schema_depth) {
        invalid_schema(pointer, "schemas are nested more than 64 levels deep");
    }
    if (!schema.is_object()) {
        return;
    }
    if (depth == 0) {
        resources_.emplace("", Place{ &schema, pointer, "", depth });
    }
    if (schema.contains("$id") && schema["$id"].is_string()) {
        const std::string id = schema["$id"].get<std::string>();
        if (id.empty() || id[0] != '#') {
            base = resolve_uri(base, id);
            resources_.emplace(base, Place{ &schema, pointer, base, depth });
        } else {
            anchors_.emplace(base + id, Place{ &schema, pointer, base, depth });  // an anchor by draft 6
        }
    }
    if (depth == 0) {
        resources_[""].base = base;
    }
    for (const char * keyword : { "$anchor", "$dynamicAnchor" }) {
        if (schema.contains(keyword) && schema[keyword].is_string()) {
            anchors_.emplace(base + "#" + schema[keyword].get<std::string>(), Place{ &schema, pointer, base, depth });
        }
    }
    bases_[&schema] = base;
    for (const auto & [key, value] : schema.items()) {
        const std::string here = pointer_to(pointer, key);
        if (with_schema.count(key) || (key == "items" && !value.is_array())) {
            add(value, here, base, depth + 1);
        } else if (with_list.count(key) && value.is_array()) {
            for (size_t i = 0; i < value.size(); i++) {
                add(value[i], here + "/" + std::to_string(i), base, depth + 1);
            }
        } else if (with_names.count(key) && value.is_object()) {
            for (const auto & [name, sub] : value.items()) {
                add(sub, pointer_to(here, name), base, depth + 1);
            }
        }
    }
}

const std::string & SchemaIndex::base_of(const Json & schema, const std::string & otherwise) const {
    const auto found = bases_.find(&schema);
    return found == bases_.end() ? otherwise : found->second;
}

SchemaIndex::Place SchemaIndex::find(const std::string & reference, const std::string & base,
                                     const std::string & at) const {
    const std::string shown = "'" + reference.substr(0, max_shown_reference) + "'";
    const auto        found = resources_.find(resolve_uri(base, reference));
    if (found == resources_.end()) {
        invalid_schema(at, "refers to " + shown + ", which is not in this schema");
    }
    Place             place    = found->second;
    const std::string fragment = percent_decoded(Uri::parse(reference).fragment);
    if (fragment.empty()) {
        return place;
    }
    if (fragment[0] != '/') {
        const auto anchor = anchors_.find(place.base + "#" + fragment);
        if (anchor == anchors_.end()) {
            invalid_schema(at, "refers to the anchor '" + fragment.substr(0, max_shown_reference) +
                                   "', which is not in this schema");
        }
        return anchor->second;
    }
    for (const std::string & part : pointer_parts(fragment)) {
        const Json * next = child_of(*place.json, part);
        if (next == nullptr) {
            invalid_schema(at, "refers to " + shown + ", which is not in this schema");
        }
        place.json    = next;
        place.pointer = pointer_to(place.pointer, part);
        place.base    = base_of(*next, place.base);
    }
    place.depth = 0;
    return place;
}

}  // namespace luup
