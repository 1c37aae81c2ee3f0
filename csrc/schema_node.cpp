#include "schema_node.h"

#include "error.h"
#include "schema_format.h"
#include "text.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <stdexcept>

namespace luup {

namespace {

constexpr size_t   max_text       = 1 << 20;
constexpr size_t   max_depth      = 64;   // of schemas in each other
constexpr size_t   max_nesting    = 256;  // of brackets in the text
constexpr size_t   max_nodes      = 10000;
constexpr size_t   max_chain      = 128;  // of schemas that lead to each other for one value
constexpr size_t   max_enum       = 4096;
constexpr size_t   max_enum_bytes = 65536;
constexpr size_t   max_pattern    = 1000;  // characters
constexpr uint64_t max_count      = 1000000000;

// Brackets are counted before any parser descends into them.
void check_nesting(const std::string & text) {
    size_t depth     = 0;
    bool   in_string = false;
    for (size_t i = 0; i < text.size(); i++) {
        const char c = text[i];
        if (in_string) {
            i += c == '\\';
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > max_nesting) {
                fail(LUUP_ERROR_INVALID_SCHEMA, "the schema is nested too deeply: at most %zu levels", max_depth);
            }
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
}

Json parse_text(const std::string & text) {
    if (text.size() > max_text) {
        fail(LUUP_ERROR_INVALID_SCHEMA, "the schema has %zu bytes; at most 1 MB is allowed", text.size());
    }
    if (utf8_find_invalid(text) != std::string::npos) {
        fail(LUUP_ERROR_JSON_PARSE_FAILED, "the schema is not valid UTF-8");
    }
    check_nesting(text);
    try {
        return Json::parse(text);
    } catch (const Json::exception & e) {
        fail(LUUP_ERROR_JSON_PARSE_FAILED, "the schema is not valid JSON: %s", e.what());
    }
}

// RFC 3986 in as far as schemas name each other within one document.
struct Uri {
    std::string scheme, authority, path, fragment;
    bool        has_authority = false, has_fragment = false;

    static Uri parse(const std::string & text) {
        Uri          uri;
        std::string  rest = text;
        const size_t hash = rest.find('#');
        if (hash != std::string::npos) {
            uri.has_fragment = true;
            uri.fragment     = rest.substr(hash + 1);
            rest.erase(hash);
        }
        const size_t colon = rest.find(':');
        if (colon != std::string::npos && colon > 0 && rest.find('/') > colon) {
            uri.scheme = rest.substr(0, colon);
            rest.erase(0, colon + 1);
        }
        if (rest.compare(0, 2, "//") == 0) {
            const size_t slash = rest.find('/', 2);
            uri.has_authority  = true;
            uri.authority      = rest.substr(2, slash == std::string::npos ? std::string::npos : slash - 2);
            rest               = slash == std::string::npos ? "" : rest.substr(slash);
        }
        uri.path = rest;
        return uri;
    }

    std::string whole() const {
        return (scheme.empty() ? "" : scheme + ":") + (has_authority ? "//" + authority : "") + path;
    }
};

std::string without_dots(const std::string & path) {
    std::vector<std::string> parts;
    size_t                   begin = 0;
    while (begin <= path.size()) {
        const size_t      slash = std::min(path.find('/', begin), path.size());
        const std::string part  = path.substr(begin, slash - begin);
        const bool        last  = slash == path.size();
        if (part == "..") {
            if (parts.size() > 1) {
                parts.pop_back();
            }
        } else if (part != ".") {
            parts.push_back(part);
        }
        if (last && (part == "." || part == "..")) {
            parts.push_back("");
        }
        begin = slash + 1;
    }
    std::string out;
    for (size_t i = 0; i < parts.size(); i++) {
        out += (i > 0 ? "/" : "") + parts[i];
    }
    return out;
}

// `reference` seen from `base`, without its fragment.
std::string resolve_uri(const std::string & base, const std::string & reference) {
    Uri target = Uri::parse(reference);
    if (!target.scheme.empty()) {
        return target.whole();
    }
    const Uri from = Uri::parse(base);
    target.scheme  = from.scheme;
    if (target.has_authority) {
        return target.whole();
    }
    target.has_authority = from.has_authority;
    target.authority     = from.authority;
    if (target.path.empty()) {
        target.path = from.path;
    } else if (target.path[0] != '/') {
        const size_t slash = from.path.rfind('/');
        target.path        = without_dots((slash == std::string::npos ? (from.has_authority ? "/" : "") : from.path.substr(0, slash + 1)) + target.path);
    } else {
        target.path = without_dots(target.path);
    }
    return target.whole();
}

std::string percent_decoded(const std::string & text) {
    std::string out;
    for (size_t i = 0; i < text.size(); i++) {
        if (text[i] == '%' && i + 2 < text.size() && isxdigit(static_cast<unsigned char>(text[i + 1])) && isxdigit(static_cast<unsigned char>(text[i + 2]))) {
            out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
            i += 2;
        } else {
            out += text[i];
        }
    }
    return out;
}

std::vector<std::string> pointer_parts(const std::string & pointer) {
    std::vector<std::string> parts;
    for (size_t i = 0; i < pointer.size();) {
        const size_t end = std::min(pointer.find('/', i + 1), pointer.size());
        std::string  part;
        for (size_t k = i + 1; k < end; k++) {
            const bool escaped = pointer[k] == '~' && k + 1 < end;
            part += escaped ? (pointer[k + 1] == '1' ? '/' : '~') : pointer[k];
            k += escaped;
        }
        parts.push_back(part);
        i = end;
    }
    return parts;
}

const std::map<std::string, unsigned> type_names = {
    { "null", type_null },
    { "boolean", type_boolean },
    { "integer", type_integer },
    { "number", type_number | type_integer },
    { "string", type_string },
    { "array", type_array },
    { "object", type_object },
};

}  // namespace

std::string pointer_to(const std::string & parent, const std::string & key) {
    std::string out = parent + "/";
    for (const char c : key) {
        out += c == '~' ? "~0" : c == '/' ? "~1"
                                          : std::string(1, c);
    }
    return out;
}

void invalid_schema(const std::string & pointer, const std::string & what) {
    const std::string shown = pointer.size() > 300 ? pointer.substr(0, utf8_prefix(pointer, 300)) + "..." : pointer;
    fail(LUUP_ERROR_INVALID_SCHEMA, "%s: %s", shown.empty() ? "/" : shown.c_str(), what.c_str());
}

int SchemaNode::property(const std::string & name) const {
    for (const auto & p : properties) {
        if (p.first == name) {
            return p.second;
        }
    }
    return -1;
}

// Fills a document: one node for each schema that is reached from the root or by a reference.
class SchemaReader {
  public:
    explicit SchemaReader(SchemaDocument & document) : document_(document) {}

    void read() {
        index(document_.json_, "", "", 0);
        document_.root_ = node_at(document_.json_, "", "", 0);
        // References may bring new nodes with references of their own.
        for (size_t i = 0; i < references_.size(); i++) {
            const Reference r                  = references_[i];
            const int       target             = resolve(r);
            document_.nodes_[r.node].reference = target;
            document_.nodes_[target].shared    = true;
        }
        check_loops();
    }

  private:
    struct Place {
        const Json * json;
        std::string  pointer, base;
        size_t       depth;
    };
    struct Reference {
        int         node;
        std::string base, text;
        size_t      depth;
    };

    // Finds the names that schemas have: $id and $anchor, only where the keywords say that there is a schema.
    void index(const Json & schema, const std::string & pointer, std::string base, size_t depth) {
        if (depth > max_depth) {
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
                anchors_.emplace(base + id, Place{ &schema, pointer, base, depth });  // draft 6's way of an anchor
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
            if (single_.count(key) || (key == "items" && !value.is_array())) {
                index(value, here, base, depth + 1);
            } else if (listed_.count(key) && value.is_array()) {
                for (size_t i = 0; i < value.size(); i++) {
                    index(value[i], here + "/" + std::to_string(i), base, depth + 1);
                }
            } else if (named_.count(key) && value.is_object()) {
                for (const auto & [name, sub] : value.items()) {
                    index(sub, pointer_to(here, name), base, depth + 1);
                }
            }
        }
    }

    int resolve(const Reference & r) {
        const std::string & pointer = document_.nodes_[r.node].pointer;
        const std::string   where   = pointer_to(pointer, "$ref");
        const Uri           uri     = Uri::parse(r.text);
        const std::string   target  = resolve_uri(r.base, r.text);
        const auto          found   = resources_.find(target);
        if (found == resources_.end()) {
            invalid_schema(where, "refers to '" + r.text.substr(0, 200) + "', which is not in this schema");
        }
        Place             place    = found->second;
        const std::string fragment = percent_decoded(uri.fragment);
        if (fragment.empty()) {
            return node_at(*place.json, place.pointer, place.base, place.depth);
        }
        if (fragment[0] != '/') {
            const auto anchor = anchors_.find(place.base + "#" + fragment);
            if (anchor == anchors_.end()) {
                invalid_schema(where, "there is no anchor '" + fragment.substr(0, 200) + "'");
            }
            return node_at(*anchor->second.json, anchor->second.pointer, anchor->second.base, anchor->second.depth);
        }
        for (const std::string & part : pointer_parts(fragment)) {
            const Json * next = nullptr;
            if (place.json->is_object() && place.json->contains(part)) {
                next = &(*place.json)[part];
            } else if (place.json->is_array() && !part.empty() && part.size() < 6 && part.find_first_not_of("0123456789") == std::string::npos &&
                       std::stoul(part) < place.json->size()) {
                next = &(*place.json)[std::stoul(part)];
            }
            if (next == nullptr) {
                invalid_schema(where, "there is nothing at '" + r.text.substr(0, 200) + "'");
            }
            place.json      = next;
            place.pointer   = pointer_to(place.pointer, part);
            const auto base = bases_.find(next);
            place.base      = base == bases_.end() ? place.base : base->second;
        }
        return node_at(*place.json, place.pointer, place.base, 0);
    }

    int node_at(const Json & schema, const std::string & pointer, const std::string & base, size_t depth) {
        const auto found = ids_.find(&schema);
        if (found != ids_.end()) {
            return found->second;
        }
        if (depth > max_depth) {
            invalid_schema(pointer, "schemas are nested more than 64 levels deep");
        }
        if (document_.nodes_.size() >= max_nodes) {
            invalid_schema(pointer, "there are more than 10,000 schemas");
        }
        const int id = static_cast<int>(document_.nodes_.size());
        document_.nodes_.emplace_back();
        document_.nodes_[id].pointer = pointer;
        ids_[&schema]                = id;
        SchemaNode node;
        node.pointer = pointer;
        if (schema.is_boolean()) {
            node.always = schema.get<bool>();
        } else if (schema.is_object()) {
            const auto own = bases_.find(&schema);
            read_keywords(node, id, schema, own == bases_.end() ? base : own->second, depth);
        } else {
            invalid_schema(pointer, "a schema must be an object or a boolean");
        }
        document_.nodes_[id] = std::move(node);
        return id;
    }

    void read_keywords(SchemaNode & node, int id, const Json & schema, const std::string & base, size_t depth) {
        for (const auto & [key, value] : schema.items()) {
            const std::string at = pointer_to(node.pointer, key);
            if (read_reference(node, id, key, value, at, base, depth) || read_scalar(node, key, value, at) ||
                read_array(node, key, value, at, base, depth) || read_object(node, key, value, at, base, depth)) {
                continue;
            }
            read_applicator(node, key, value, at, base, depth);
        }
        if (node.max_contains && node.contains < 0) {
            node.max_contains.reset();
        }
    }

    bool read_reference(SchemaNode &, int id, const std::string & key, const Json & value, const std::string & at, const std::string & base, size_t depth) {
        if (key == "$ref") {
            references_.push_back({ id, base, string(value, at), depth });
        } else if (key == "$dynamicRef" || key == "$recursiveRef") {
            invalid_schema(at, "dynamic references are not supported: use $ref");
        } else if (key == "$schema") {
            const std::string text = string(value, at);
            if (text.find("json-schema.org/") == std::string::npos) {
                invalid_schema(at, "only the dialects of json-schema.org are known");
            }
        } else {
            return false;
        }
        return true;
    }

    bool read_scalar(SchemaNode & node, const std::string & key, const Json & value, const std::string & at) {
        if (key == "type") {
            node.types = types(value, at);
        } else if (key == "enum" || key == "const") {
            read_values(node, key, value, at);
        } else if (key == "minimum") {
            node.minimum = number(value, at);
        } else if (key == "maximum") {
            node.maximum = number(value, at);
        } else if (key == "exclusiveMinimum") {
            node.exclusive_minimum = number(value, at);
        } else if (key == "exclusiveMaximum") {
            node.exclusive_maximum = number(value, at);
        } else if (key == "multipleOf") {
            node.multiple_of = number(value, at);
            if (value.get<double>() <= 0) {
                invalid_schema(at, "must be above 0");
            }
        } else if (key == "minLength") {
            node.min_length = count(value, at);
        } else if (key == "maxLength") {
            node.max_length = count(value, at);
        } else if (key == "pattern") {
            node.pattern = pattern(string(value, at), at);
        } else if (key == "format") {
            const std::string name = string(value, at);
            node.format            = find_format(name) ? name : "";
        } else {
            return false;
        }
        return true;
    }

    void read_values(SchemaNode & node, const std::string & key, const Json & value, const std::string & at) {
        std::vector<Json> values;
        if (key == "const") {
            values.push_back(value);
        } else if (!value.is_array()) {
            invalid_schema(at, "must be an array of values");
        } else {
            values.assign(value.begin(), value.end());
        }
        if (values.size() > max_enum) {
            invalid_schema(at, "has more than 4,096 values");
        }
        for (const Json & v : values) {
            if (v.dump().size() > max_enum_bytes) {
                invalid_schema(at, "has a value of more than 64 KB");
            }
        }
        if (node.has_values) {
            // Both enum and const: the validator checks `values` as one set, so they are intersected here.
            std::vector<Json> both;
            for (const Json & v : values) {
                if (std::find_if(node.values.begin(), node.values.end(), [&](const Json & o) { return equal_json(v, o); }) != node.values.end()) {
                    both.push_back(v);
                }
            }
            values = std::move(both);
        }
        node.values     = std::move(values);
        node.has_values = true;
    }

    bool read_array(SchemaNode & node, const std::string & key, const Json & value, const std::string & at, const std::string & base, size_t depth) {
        if (key == "prefixItems" || (key == "items" && value.is_array())) {
            node.prefix_items = list(value, at, base, depth);
        } else if (key == "items") {
            node.items = node_at(value, at, base, depth + 1);
        } else if (key == "additionalItems") {
            // Means something only beside the older form of tuples.
            if (document_.json_.is_object() && has_tuple_items(at)) {
                node.items = node_at(value, at, base, depth + 1);
            }
        } else if (key == "contains") {
            node.contains = node_at(value, at, base, depth + 1);
        } else if (key == "minContains") {
            node.min_contains = count(value, at);
        } else if (key == "maxContains") {
            node.max_contains = count(value, at);
        } else if (key == "minItems") {
            node.min_items = count(value, at);
        } else if (key == "maxItems") {
            node.max_items = count(value, at);
        } else if (key == "uniqueItems") {
            node.unique_items = boolean(value, at);
        } else if (key == "unevaluatedItems") {
            node.unevaluated_items     = node_at(value, at, base, depth + 1);
            document_.has_unevaluated_ = true;
        } else {
            return false;
        }
        return true;
    }

    // Whether "items" beside the keyword at `at` is a list.
    bool has_tuple_items(const std::string & at) const {
        const Json * json = &document_.json_;
        auto         path = pointer_parts(at);
        path.pop_back();
        for (const std::string & part : path) {
            json = json->is_array() ? &(*json)[std::stoul(part)] : &(*json)[part];
        }
        return json->contains("items") && (*json)["items"].is_array();
    }

    bool read_object(SchemaNode & node, const std::string & key, const Json & value, const std::string & at, const std::string & base, size_t depth) {
        if (key == "properties") {
            for (const auto & [name, sub] : object(value, at).items()) {
                node.properties.emplace_back(name, node_at(sub, pointer_to(at, name), base, depth + 1));
            }
        } else if (key == "patternProperties") {
            for (const auto & [text, sub] : object(value, at).items()) {
                const std::string here = pointer_to(at, text);
                node.pattern_properties.emplace_back(pattern(text, here), node_at(sub, here, base, depth + 1));
            }
        } else if (key == "additionalProperties") {
            node.additional = node_at(value, at, base, depth + 1);
        } else if (key == "propertyNames") {
            node.property_names = node_at(value, at, base, depth + 1);
        } else if (key == "required") {
            if (!value.is_boolean()) {  // draft 3's form, seen in the wild: says nothing here
                node.required = strings(value, at);
            }
        } else if (key == "minProperties") {
            node.min_properties = count(value, at);
        } else if (key == "maxProperties") {
            node.max_properties = count(value, at);
        } else if (key == "dependentRequired" || key == "dependentSchemas" || key == "dependencies") {
            for (const auto & [name, sub] : object(value, at).items()) {
                const std::string here = pointer_to(at, name);
                if (key == "dependentRequired" || (key == "dependencies" && sub.is_array())) {
                    node.dependent_required.emplace_back(name, strings(sub, here));
                } else {
                    node.dependent_schemas.emplace_back(name, node_at(sub, here, base, depth + 1));
                }
            }
        } else if (key == "unevaluatedProperties") {
            node.unevaluated_properties = node_at(value, at, base, depth + 1);
            document_.has_unevaluated_  = true;
        } else {
            return false;
        }
        return true;
    }

    void read_applicator(SchemaNode & node, const std::string & key, const Json & value, const std::string & at, const std::string & base, size_t depth) {
        if (key == "allOf") {
            node.all_of = list(value, at, base, depth);
        } else if (key == "anyOf") {
            node.any_of = list(value, at, base, depth);
        } else if (key == "oneOf") {
            node.one_of = list(value, at, base, depth);
        } else if (key == "not") {
            node.negated = node_at(value, at, base, depth + 1);
        } else if (key == "if") {
            node.condition = node_at(value, at, base, depth + 1);
        } else if (key == "then") {
            node.consequence = node_at(value, at, base, depth + 1);
        } else if (key == "else") {
            node.alternative = node_at(value, at, base, depth + 1);
        }
    }

    unsigned types(const Json & value, const std::string & at) {
        unsigned   mask = 0;
        const auto add  = [&](const Json & name) {
            const auto found = name.is_string() ? type_names.find(name.get<std::string>()) : type_names.end();
            if (found == type_names.end()) {
                invalid_schema(at, "must be one of null, boolean, integer, number, string, array, object or a list of these");
            }
            mask |= found->second;
        };
        if (value.is_array()) {
            std::for_each(value.begin(), value.end(), add);
        } else {
            add(value);
        }
        return mask;
    }

    std::vector<int> list(const Json & value, const std::string & at, const std::string & base, size_t depth) {
        if (!value.is_array() || value.empty()) {
            invalid_schema(at, "must be a list of schemas");
        }
        std::vector<int> out;
        for (size_t i = 0; i < value.size(); i++) {
            out.push_back(node_at(value[i], at + "/" + std::to_string(i), base, depth + 1));
        }
        return out;
    }

    static std::shared_ptr<const Pattern> pattern(const std::string & text, const std::string & at) {
        if (count_code_points(text) > max_pattern) {
            invalid_schema(at, "the regular expression has more than 1,000 characters");
        }
        try {
            return std::make_shared<const Pattern>(text);
        } catch (const std::invalid_argument & e) {
            invalid_schema(at, std::string("the regular expression is not supported: ") + e.what());
        }
    }

    static std::string string(const Json & value, const std::string & at) {
        if (!value.is_string()) {
            invalid_schema(at, "must be a string");
        }
        return value.get<std::string>();
    }

    static bool boolean(const Json & value, const std::string & at) {
        if (!value.is_boolean()) {
            invalid_schema(at, "must be true or false");
        }
        return value.get<bool>();
    }

    static Json number(const Json & value, const std::string & at) {
        if (!value.is_number()) {
            invalid_schema(at, "must be a number");
        }
        return value;
    }

    static uint64_t count(const Json & value, const std::string & at) {
        const double n = value.is_number() ? value.get<double>() : -1;
        if (n < 0 || std::trunc(n) != n) {
            invalid_schema(at, "must be a whole number, 0 or above");
        }
        return n > static_cast<double>(max_count) ? max_count : static_cast<uint64_t>(n);
    }

    static const Json & object(const Json & value, const std::string & at) {
        if (!value.is_object()) {
            invalid_schema(at, "must be an object");
        }
        return value;
    }

    static std::vector<std::string> strings(const Json & value, const std::string & at) {
        if (!value.is_array()) {
            invalid_schema(at, "must be a list of names");
        }
        std::vector<std::string> out;
        for (const Json & name : value) {
            out.push_back(string(name, at));
        }
        return out;
    }

    // The schemas that a schema applies to the same value.
    static std::vector<int> applied(const SchemaNode & node) {
        std::vector<int> out = { node.negated, node.condition, node.consequence, node.alternative, node.reference };
        for (const std::vector<int> * all : { &node.all_of, &node.any_of, &node.one_of }) {
            out.insert(out.end(), all->begin(), all->end());
        }
        for (const auto & sub : node.dependent_schemas) {
            out.push_back(sub.second);
        }
        out.erase(std::remove(out.begin(), out.end(), -1), out.end());
        return out;
    }

    // A schema that applies itself to the same value again never comes to an end; and long chains take too much stack.
    void check_loops() {
        std::vector<size_t>                    height(document_.nodes_.size());
        std::vector<bool>                      open(document_.nodes_.size());
        const std::function<void(int, size_t)> visit = [&](int id, size_t depth) {
            const SchemaNode & node = document_.nodes_[id];
            if (open[id]) {
                invalid_schema(node.pointer, "refers to itself without end");
            }
            if (height[id] > 0) {
                return;
            }
            open[id]       = true;
            size_t highest = 0;
            for (const int sub : applied(node)) {
                if (depth < max_chain) {
                    visit(sub, depth + 1);
                }
                highest = std::max(highest, height[sub]);
            }
            open[id]   = false;
            height[id] = highest + 1;
            if (depth >= max_chain || height[id] > max_chain) {
                invalid_schema(node.pointer, "goes through more than 128 references or combinations");
            }
        };
        for (size_t i = 0; i < document_.nodes_.size(); i++) {
            visit(static_cast<int>(i), 0);
        }
    }

    const std::set<std::string> single_ = {
        "additionalProperties", "additionalItems", "contains", "propertyNames", "unevaluatedItems", "unevaluatedProperties", "not", "if", "then", "else"
    };
    const std::set<std::string> listed_ = { "allOf", "anyOf", "oneOf", "prefixItems", "items" };
    const std::set<std::string> named_  = { "properties", "patternProperties", "dependentSchemas", "$defs", "definitions" };

    SchemaDocument &                    document_;
    std::map<const Json *, int>         ids_;
    std::map<const Json *, std::string> bases_;
    std::map<std::string, Place>        resources_, anchors_;
    std::vector<Reference>              references_;
};

SchemaDocument::SchemaDocument(const std::string & text) : json_(parse_text(text)) {
    SchemaReader(*this).read();
}

}  // namespace luup
