// The values of an instance at which its schema left only a choice among listed values.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace luup {

class SchemaPlans;

// A value whose schema allows only enum values, constants and booleans, with its bytes in the text of the instance.
struct SchemaChoice {
    std::string pointer;
    size_t      begin, end;
};

// Returns the choices in the text of a valid instance; none for a text that is not JSON.
std::vector<SchemaChoice> find_choices(const SchemaPlans & plans, const std::string & instance_text);

}  // namespace luup
