// Reads the JSON values of servers, which follow OpenAI's format only roughly.
#pragma once

#include "base/json.h"

#include <cstdint>
#include <string>

namespace luup {

// Returns the beginning of a server's own words, for an error.
std::string quoted(const std::string & text);

// Returns `text` with every zero byte, which would end it for C programs, replaced by U+FFFD.
std::string without_zeros(std::string text);

// Returns a text field; "" for anything else.
std::string text_of(const Json & j, const char * field);

// Returns a count, a positive number; 0 for anything else.
int32_t count_of(const Json & j, const char * field);

bool is_object(const Json & j, const char * field);

// Adds the fields of `from` to `into`: objects are merged, lists are joined, and other values replace older ones.
// Fields that are null, "" or empty add nothing.
void merge_fields(Json & into, const Json & from);

// The content of a message: a text, or a list of parts.
struct ServerText {
    std::string text, reasoning;
    bool        odd = false;  // some of it is neither
};

ServerText read_content(const Json & content);

}  // namespace luup
