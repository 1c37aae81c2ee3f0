// JSON Schema: what is refused, the grammar that a model's answer is held to, and validation of what comes out.
#pragma once

#include <nlohmann/json.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace luup {

enum class Spacing { Compact,     // no blanks
                     OneSpace };  // one blank or none after each ':' and ','

class SchemaDocument;
class SchemaPlans;
class SchemaValidator;

// A schema that can be enforced. Immutable: any thread may use it.
class Schema {
  public:
    // Throws Error: LUUP_ERROR_JSON_PARSE_FAILED for bad JSON, LUUP_ERROR_INVALID_SCHEMA with the JSON pointer of the part that is
    // wrong, too large, or can be neither enforced nor checked.
    static std::shared_ptr<const Schema> compile(const std::string & json);

    ~Schema();

    // GBNF for valid instances as JSON text. The names of its rules start with `prefix` (letters, digits, '-'); the start rule is `prefix` itself.
    std::string grammar(const std::string & prefix, Spacing spacing) const;

    // "" if `instance` is valid, else what is wrong with its JSON pointer: "/age: must be at least 0, not -3".
    std::string validate(const nlohmann::ordered_json & instance) const;

    // A value whose schema leaves only enum values, constants and booleans: the bytes of `instance_text` where it stands.
    struct Choice {
        std::string pointer;
        size_t      begin, end;
    };
    std::vector<Choice> choices(const std::string & instance_text) const;

    // Whether every valid instance is an object.
    bool is_object() const;

    // Whether the grammar leaves something to SchemaGuard: names and items that must not come twice.
    bool needs_guard() const { return needs_guard_; }

    // The schema as compact JSON.
    const std::string & text() const { return text_; }

  private:
    friend class SchemaGuard;
    friend class SchemaWalk;

    explicit Schema(const std::string & json);

    bool plan_needs_guard() const;

    std::unique_ptr<const SchemaDocument>  document_;
    std::unique_ptr<const SchemaValidator> validator_;
    std::unique_ptr<const SchemaPlans>     plans_;
    std::string                            text_;
    bool                                   needs_guard_ = false;
};

// Follows the text of an instance for what a grammar can't say: no name twice in an object, no equal items where uniqueItems is set. Cheap to copy.
class SchemaGuard {
  public:
    explicit SchemaGuard(std::shared_ptr<const Schema> schema);

    // Goes on with `bytes`, which the grammar allows. False: they complete something that is there already; the state is undefined then.
    bool accept(std::string_view bytes);

    // Whether accept(bytes) can be false: no for most tokens, and told without a copy of the guard.
    bool may_refuse(std::string_view bytes) const;

    // Whether the name or the item that is being written, or begins here, may become one that is there already.
    bool at_risk() const;

  private:
    struct Seen;   // what an open container has already
    struct Level;  // an open container

    bool step(char c);
    bool end_value();
    bool open(char c);

    std::shared_ptr<const Schema> schema_;
    std::shared_ptr<const Level>  top_;
    std::vector<int>              next_;  // the plans that the next value may follow
    std::string                   token_; // the string or scalar being read
    std::string                   raw_;   // the text since the outermost array of unique items
    bool                          in_string_ = false, escaped_ = false, scalar_ = false;
};

}  // namespace luup
