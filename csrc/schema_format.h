// The values of "format" that are enforced, and equality of JSON values as JSON Schema has it.
#pragma once

#include "schema_pattern.h"

#include <nlohmann/json.hpp>

#include <memory>
#include <string>
#include <vector>

namespace luup {

struct Format {
    std::shared_ptr<const Pattern>              generated;  // what a grammar makes: part of what is valid
    std::vector<std::shared_ptr<const Pattern>> forbidden;  // and must not be
    std::shared_ptr<const Pattern>              valid;      // all that is valid, but for `check`; nullptr: an annotation to the validator
    bool (*check)(const std::string & text) = nullptr;
    std::string example;
};

// nullptr for a format that is only an annotation.
const Format * find_format(const std::string & name);

bool is_valid_format(const Format & format, const std::string & text);

// Numbers by value (1 is 1.0), objects without order.
bool equal_json(const nlohmann::ordered_json & a, const nlohmann::ordered_json & b);

// The same text for equal values.
std::string canonical_json(const nlohmann::ordered_json & value);

}  // namespace luup
