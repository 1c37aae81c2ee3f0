// Values, types and lists as text for error messages.
#pragma once

#include "base/json.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace luup {

// Returns `text`, shortened to `limit` bytes with "..." if it is longer.
std::string cut(const std::string & text, size_t limit);

// Returns a value as JSON of at most 60 bytes.
std::string show(const Json & value);

// Returns "1 item" or "2 items".
std::string plural(uint64_t n, const std::string & one, const std::string & many);

// Returns the type of a value as SchemaType.
unsigned type_of(const Json & value);

// Return "a string", and "a string or null" for several types.
std::string type_name(unsigned type);
std::string type_names(unsigned types);

// Returns values separated by commas, as many as fit into about 160 bytes.
std::string list_of(const std::vector<Json> & values);

}  // namespace luup
