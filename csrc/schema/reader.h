// Reads the schemas of a document into nodes and resolves their references.
#pragma once

#include "base/json.h"
#include "schema/node.h"

#include <vector>

namespace luup {

struct SchemaNodes {
    std::vector<SchemaNode> all;
    int                     root            = 0;
    bool                    has_unevaluated = false;  // some schema has unevaluatedItems or unevaluatedProperties
};

// Makes a node of each schema that is reached from the root or by a reference. Throws Error(LUUP_ERROR_INVALID_SCHEMA).
SchemaNodes read_schemas(const Json & document);

}  // namespace luup
