// A JSON Schema: the grammar that an answer must match, and the validation of the answer.
#pragma once

#include "schema/choices.h"
#include "base/json.h"
#include "schema/spacing.h"

#include <memory>
#include <string>
#include <vector>

namespace luup {

class SchemaDocument;
class SchemaPlans;
class SchemaValidator;

// Immutable: any thread may use it.
class Schema {
  public:
    // Throws Error: LUUP_ERROR_JSON_PARSE_FAILED if the text is not JSON, LUUP_ERROR_INVALID_SCHEMA with the JSON
    // pointer of the part that is wrong, too large, or can be neither enforced nor checked.
    static std::shared_ptr<const Schema> compile(const std::string & json);

    ~Schema();

    // Returns the GBNF grammar of valid instances as JSON text. The names of its rules begin with `prefix` (letters,
    // digits, '-'), and the start rule is `prefix` itself.
    std::string grammar(const std::string & prefix, Spacing spacing) const;

    // Returns "" if `instance` is valid, else the error with its JSON pointer: "/age: must be at least 0, not -3".
    std::string validate(const Json & instance) const;

    std::vector<SchemaChoice> choices(const std::string & instance_text) const;

    // Whether every valid instance is an object.
    bool is_object() const;

    // Whether the grammar allows repeated names or items, which SchemaGuard must refuse.
    bool needs_guard() const { return needs_guard_; }

    // Returns the schema as compact JSON.
    const std::string & text() const { return text_; }

    // Returns the schema as prompts show it, see prompt_text.h.
    const std::string & prompt_text() const { return prompt_text_; }

    const SchemaPlans & plans() const { return *plans_; }

  private:
    explicit Schema(const std::string & json);

    std::unique_ptr<const SchemaDocument>  document_;
    std::unique_ptr<const SchemaValidator> validator_;
    std::unique_ptr<const SchemaPlans>     plans_;
    std::string                            text_, prompt_text_;
    bool                                   needs_guard_ = false;
};

}  // namespace luup
