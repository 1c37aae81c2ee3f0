// The values of keywords, checked for their types.
#pragma once

#include "base/json.h"
#include "schema/pattern.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace luup {

// A keyword with its value and JSON pointer. Conversions throw Error(LUUP_ERROR_INVALID_SCHEMA) with the pointer if the
// value has the wrong type.
class Keyword {
  public:
    Keyword(std::string name, const Json & value, std::string pointer)
        : name_(std::move(name)), value_(value), pointer_(std::move(pointer)) {}

    bool                is(const char * name) const { return name_ == name; }
    const Json &        value() const { return value_; }
    const std::string & pointer() const { return pointer_; }

    std::string              string() const;
    bool                     boolean() const;
    Json                     number() const;
    uint64_t                 count() const;   // a length or a number of items, at most schema_limits::count
    const Json &             object() const;
    std::vector<std::string> names() const;   // a list of strings
    unsigned                 types() const;   // a type or a list of types, as SchemaType
    std::vector<Json>        values() const;  // of enum and const

    std::shared_ptr<const Pattern> pattern() const;

    // An entry of an object of keywords, or of schemas.
    Keyword entry(const std::string & name, const Json & value) const;

    [[noreturn]] void refuse(const std::string & what) const;

  private:
    std::string  name_;
    const Json & value_;
    std::string  pointer_;
};

// Parses a regular expression. Throws Error(LUUP_ERROR_INVALID_SCHEMA) with the pointer.
std::shared_ptr<const Pattern> parse_pattern(const std::string & text, const std::string & pointer);

}  // namespace luup
