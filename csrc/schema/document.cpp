#include "schema/document.h"

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "schema/limits.h"
#include "schema/pointer.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace luup {

namespace {

Json parse_text(const std::string & text) {
    if (text.size() > schema_limits::schema_bytes) {
        fail(LUUP_ERROR_INVALID_SCHEMA, "the schema has %zu bytes; at most 1 MB is allowed", text.size());
    }
    if (utf8_find_invalid(text) != std::string::npos) {
        fail(LUUP_ERROR_JSON_PARSE_FAILED, "the schema is not valid UTF-8");
    }
    if (is_nested_too_deeply(text, schema_limits::bracket_depth)) {
        fail(LUUP_ERROR_INVALID_SCHEMA, "the schema is nested too deeply: at most %zu levels are allowed",
             schema_limits::schema_depth);
    }
    return read_json(text, "the schema");
}

// Returns the schemas that a schema applies to the same value.
std::vector<int> applied(const SchemaNode & node) {
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

// Refuses schemas that apply themselves to the same value again, which would never end, and long chains of schemas,
// which would need too much stack.
void check_loops(const std::vector<SchemaNode> & nodes) {
    std::vector<size_t>                    height(nodes.size());
    std::vector<bool>                      open(nodes.size());
    const std::function<void(int, size_t)> visit = [&](int id, size_t depth) {
        const SchemaNode & node = nodes[id];
        if (open[id]) {
            invalid_schema(node.pointer, "refers to itself without end");
        }
        if (height[id] > 0) {
            return;
        }
        open[id]       = true;
        size_t highest = 0;
        for (const int sub : applied(node)) {
            if (depth < schema_limits::reference_path) {
                visit(sub, depth + 1);
            }
            highest = std::max(highest, height[sub]);
        }
        open[id]   = false;
        height[id] = highest + 1;
        if (depth >= schema_limits::reference_path || height[id] > schema_limits::reference_path) {
            invalid_schema(node.pointer, "goes through more than 128 references or combinations");
        }
    };
    for (size_t i = 0; i < nodes.size(); i++) {
        visit(static_cast<int>(i), 0);
    }
}

}  // namespace

SchemaDocument::SchemaDocument(const std::string & text) : json_(parse_text(text)), nodes_(read_schemas(json_)) {
    check_loops(nodes_.all);
}

}  // namespace luup
