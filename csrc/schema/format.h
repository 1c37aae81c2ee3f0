// The values of the keyword "format" that are enforced.
#pragma once

#include "schema/pattern.h"

#include <memory>
#include <string>
#include <vector>

namespace luup {

struct Format {
    std::shared_ptr<const Pattern> generated;  // the strings that a grammar makes, a part of the valid ones
    std::vector<std::shared_ptr<const Pattern>> forbidden;  // exceptions from `generated`

    // The valid strings must match `valid` and pass `check`. If `valid` is null, the validator accepts all strings.
    std::shared_ptr<const Pattern> valid;
    bool (*check)(const std::string & text) = nullptr;
    std::string example;
};

// Returns nullptr for a format that is not enforced.
const Format * find_format(const std::string & name);

bool is_valid_format(const Format & format, const std::string & text);

}  // namespace luup
