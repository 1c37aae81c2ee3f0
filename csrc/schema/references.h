// The schemas of a document by $id, $anchor and JSON pointer: where references lead.
#pragma once

#include "base/json.h"

#include <cstddef>
#include <map>
#include <string>

namespace luup {

class SchemaIndex {
  public:
    // The document must outlive the index. Throws Error(LUUP_ERROR_INVALID_SCHEMA) if its schemas are nested too
    // deeply.
    explicit SchemaIndex(const Json & document) { add(document, "", "", 0); }

    struct Place {
        const Json * json;
        std::string  pointer;
        std::string  base;   // URI
        size_t       depth;  // levels of schemas above it, 0 if unknown
    };

    // Returns the target of `reference` in a schema with the URI `base`. `at` is the pointer of the $ref, for errors.
    // Throws Error(LUUP_ERROR_INVALID_SCHEMA) if the document has no such schema.
    Place find(const std::string & reference, const std::string & base, const std::string & at) const;

    // Returns the base URI of a schema; `otherwise` if it is in no keyword that contains schemas.
    const std::string & base_of(const Json & schema, const std::string & otherwise) const;

  private:
    void add(const Json & schema, const std::string & pointer, std::string base, size_t depth);

    std::map<const Json *, std::string> bases_;
    std::map<std::string, Place>        resources_, anchors_;
};

}  // namespace luup
