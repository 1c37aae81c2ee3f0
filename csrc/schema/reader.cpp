#include "schema/reader.h"

#include "schema/equality.h"
#include "schema/format.h"
#include "schema/keyword.h"
#include "schema/limits.h"
#include "schema/pointer.h"
#include "schema/references.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

namespace luup {

namespace {

class SchemaReader {
  public:
    explicit SchemaReader(const Json & document) : document_(document), index_(document) {}

    SchemaNodes read() {
        out_.root = node_at(document_, { "", "", 0 });
        // References may lead to new nodes with references of their own.
        for (size_t i = 0; i < references_.size(); i++) {
            const Reference r          = references_[i];
            const int       target     = resolve(r);
            out_.all[r.node].reference = target;
            out_.all[target].shared    = true;
        }
        return std::move(out_);
    }

  private:
    // Where a schema is: its pointer, its base URI, and how many schemas are above it.
    struct Place {
        std::string pointer, base;
        size_t      depth;

        Place below(const std::string & at) const { return { at, base, depth + 1 }; }
    };
    struct Reference {
        int         node;
        std::string base, text;
    };

    int resolve(const Reference & r) {
        const SchemaIndex::Place target = index_.find(r.text, r.base, pointer_to(out_.all[r.node].pointer, "$ref"));
        return node_at(*target.json, { target.pointer, target.base, target.depth });
    }

    int node_at(const Json & schema, const Place & place) {
        const auto found = ids_.find(&schema);
        if (found != ids_.end()) {
            return found->second;
        }
        if (place.depth > schema_limits::schema_depth) {
            invalid_schema(place.pointer, "schemas are nested more than 64 levels deep");
        }
        if (out_.all.size() >= schema_limits::schemas) {
            invalid_schema(place.pointer, "there are more than 10,000 schemas");
        }
        const int id = static_cast<int>(out_.all.size());
        out_.all.emplace_back();
        out_.all[id].pointer = place.pointer;
        ids_[&schema]        = id;
        SchemaNode node;
        node.pointer = place.pointer;
        if (schema.is_boolean()) {
            node.always = schema.get<bool>();
        } else if (schema.is_object()) {
            read_keywords(node, id, schema, { place.pointer, index_.base_of(schema, place.base), place.depth });
        } else {
            invalid_schema(place.pointer, "a schema must be an object or a boolean");
        }
        out_.all[id] = std::move(node);
        return id;
    }

    int node_of(const Keyword & keyword, const Place & place) {
        return node_at(keyword.value(), place.below(keyword.pointer()));
    }

    std::vector<int> nodes_of(const Keyword & keyword, const Place & place) {
        const Json & list = keyword.value();
        if (!list.is_array() || list.empty()) {
            keyword.refuse("must be a list of schemas");
        }
        std::vector<int> out;
        for (size_t i = 0; i < list.size(); i++) {
            out.push_back(node_at(list[i], place.below(keyword.pointer() + "/" + std::to_string(i))));
        }
        return out;
    }

    void read_keywords(SchemaNode & node, int id, const Json & schema, const Place & place) {
        for (const auto & [name, value] : schema.items()) {
            const Keyword keyword(name, value, pointer_to(place.pointer, name));
            if (read_reference(id, keyword, place) || read_scalar(node, keyword) ||
                read_array(node, keyword, schema, place) || read_object(node, keyword, place)) {
                continue;
            }
            read_applicator(node, keyword, place);
        }
        if (node.max_contains && node.contains < 0) {
            node.max_contains.reset();
        }
    }

    bool read_reference(int id, const Keyword & keyword, const Place & place) {
        if (keyword.is("$ref")) {
            references_.push_back({ id, place.base, keyword.string() });
        } else if (keyword.is("$dynamicRef") || keyword.is("$recursiveRef")) {
            keyword.refuse("dynamic references are not supported: use $ref");
        } else if (keyword.is("$schema")) {
            if (keyword.string().find("json-schema.org/") == std::string::npos) {
                keyword.refuse("only the dialects of json-schema.org are supported");
            }
        } else {
            return false;
        }
        return true;
    }

    bool read_scalar(SchemaNode & node, const Keyword & keyword) {
        if (keyword.is("type")) {
            node.types = keyword.types();
        } else if (keyword.is("enum") || keyword.is("const")) {
            read_values(node, keyword);
        } else if (keyword.is("minimum")) {
            node.minimum = keyword.number();
        } else if (keyword.is("maximum")) {
            node.maximum = keyword.number();
        } else if (keyword.is("exclusiveMinimum")) {
            node.exclusive_minimum = keyword.number();
        } else if (keyword.is("exclusiveMaximum")) {
            node.exclusive_maximum = keyword.number();
        } else if (keyword.is("multipleOf")) {
            node.multiple_of = keyword.number();
            if (keyword.value().get<double>() <= 0) {
                keyword.refuse("must be above 0, got " + keyword.value().dump());
            }
        } else if (keyword.is("minLength")) {
            node.min_length = keyword.count();
        } else if (keyword.is("maxLength")) {
            node.max_length = keyword.count();
        } else if (keyword.is("pattern")) {
            node.pattern = keyword.pattern();
        } else if (keyword.is("format")) {
            const std::string name = keyword.string();
            node.format            = find_format(name) ? name : "";
        } else {
            return false;
        }
        return true;
    }

    static void read_values(SchemaNode & node, const Keyword & keyword) {
        std::vector<Json> values = keyword.values();
        if (node.has_values) {
            // Both enum and const: a valid value is in both.
            values.erase(std::remove_if(values.begin(), values.end(),
                                        [&](const Json & v) { return !node.value_set.contains(v); }),
                         values.end());
        }
        node.value_set = {};
        for (const Json & v : values) {
            node.value_set.insert(v);
        }
        node.values     = std::move(values);
        node.has_values = true;
    }

    bool read_array(SchemaNode & node, const Keyword & keyword, const Json & schema, const Place & place) {
        if (keyword.is("prefixItems") || (keyword.is("items") && keyword.value().is_array())) {
            node.prefix_items = nodes_of(keyword, place);
        } else if (keyword.is("items")) {
            node.items = node_of(keyword, place);
        } else if (keyword.is("additionalItems")) {
            // Ignored except beside a list of "items", the form of tuples in older drafts.
            if (schema.contains("items") && schema["items"].is_array()) {
                node.items = node_of(keyword, place);
            }
        } else if (keyword.is("contains")) {
            node.contains = node_of(keyword, place);
        } else if (keyword.is("minContains")) {
            node.min_contains = keyword.count();
        } else if (keyword.is("maxContains")) {
            node.max_contains = keyword.count();
        } else if (keyword.is("minItems")) {
            node.min_items = keyword.count();
        } else if (keyword.is("maxItems")) {
            node.max_items = keyword.count();
        } else if (keyword.is("uniqueItems")) {
            node.unique_items = keyword.boolean();
        } else if (keyword.is("unevaluatedItems")) {
            node.unevaluated_items = node_of(keyword, place);
            out_.has_unevaluated   = true;
        } else {
            return false;
        }
        return true;
    }

    bool read_object(SchemaNode & node, const Keyword & keyword, const Place & place) {
        if (keyword.is("properties")) {
            node.declares_properties = true;
            for (const auto & [name, sub] : keyword.object().items()) {
                node.properties.emplace_back(name, node_of(keyword.entry(name, sub), place));
            }
        } else if (keyword.is("patternProperties")) {
            for (const auto & [text, sub] : keyword.object().items()) {
                const Keyword entry   = keyword.entry(text, sub);
                auto          pattern = parse_pattern(text, entry.pointer());
                node.pattern_properties.emplace_back(std::move(pattern), node_of(entry, place));
            }
        } else if (keyword.is("additionalProperties")) {
            node.additional = node_of(keyword, place);
        } else if (keyword.is("propertyNames")) {
            node.property_names = node_of(keyword, place);
        } else if (keyword.is("required")) {
            // A boolean is draft 3's form, which some schemas still contain; it has no meaning here.
            if (!keyword.value().is_boolean()) {
                node.required = keyword.names();
            }
        } else if (keyword.is("minProperties")) {
            node.min_properties = keyword.count();
        } else if (keyword.is("maxProperties")) {
            node.max_properties = keyword.count();
        } else if (keyword.is("dependentRequired") || keyword.is("dependentSchemas") || keyword.is("dependencies")) {
            for (const auto & [name, sub] : keyword.object().items()) {
                const Keyword entry = keyword.entry(name, sub);
                if (keyword.is("dependentRequired") || (keyword.is("dependencies") && sub.is_array())) {
                    node.dependent_required.emplace_back(name, entry.names());
                } else {
                    node.dependent_schemas.emplace_back(name, node_of(entry, place));
                }
            }
        } else if (keyword.is("unevaluatedProperties")) {
            node.unevaluated_properties = node_of(keyword, place);
            out_.has_unevaluated        = true;
        } else {
            return false;
        }
        return true;
    }

    void read_applicator(SchemaNode & node, const Keyword & keyword, const Place & place) {
        if (keyword.is("allOf")) {
            node.all_of = nodes_of(keyword, place);
        } else if (keyword.is("anyOf")) {
            node.any_of = nodes_of(keyword, place);
        } else if (keyword.is("oneOf")) {
            node.one_of = nodes_of(keyword, place);
        } else if (keyword.is("not")) {
            node.negated = node_of(keyword, place);
        } else if (keyword.is("if")) {
            node.condition = node_of(keyword, place);
        } else if (keyword.is("then")) {
            node.consequence = node_of(keyword, place);
        } else if (keyword.is("else")) {
            node.alternative = node_of(keyword, place);
        }
    }

    const Json &                document_;
    const SchemaIndex           index_;
    SchemaNodes                 out_;
    std::map<const Json *, int> ids_;
    std::vector<Reference>      references_;
};

}  // namespace

SchemaNodes read_schemas(const Json & document) {
    return SchemaReader(document).read();
}

}  // namespace luup
