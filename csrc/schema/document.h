// The document of a schema: its JSON and the nodes of its schemas.
#pragma once

#include "schema/node.h"
#include "schema/reader.h"

#include <string>

namespace luup {

class SchemaDocument {
  public:
    // Throws Error: LUUP_ERROR_JSON_PARSE_FAILED if the text is not JSON, LUUP_ERROR_INVALID_SCHEMA if the schema is
    // wrong, too large, or has an unsupported keyword.
    explicit SchemaDocument(const std::string & text);

    const SchemaNode & node(int id) const { return nodes_.all[id]; }
    int                root() const { return nodes_.root; }
    const Json &       json() const { return json_; }

    // Whether a schema has unevaluatedItems or unevaluatedProperties.
    bool has_unevaluated() const { return nodes_.has_unevaluated; }

  private:
    const Json        json_;
    const SchemaNodes nodes_;
};

}  // namespace luup
