// How tool calls begin in an answer: finds, weighs and forbids their beginnings.
#pragma once

#include "chat/tool_format.h"
#include "grammar/constraint.h"

#include <cstddef>
#include <string>

namespace luup {

// The probability that the next token begins a call: with the format's own marker, or with anything that looks like a
// call (small models that forget the marker begin with JSON, a fence or a tag). `any` includes `marker`.
struct CallShare {
    double marker, any;
};
CallShare call_share(const float * logits, const ToolFormat & format, const Vocabulary & vocabulary);

// Forbids the tokens that begin a call: small models write their calls as bare or fenced JSON.
void forbid_call_start(float * logits, const ToolFormat & format, const Vocabulary & vocabulary);

// Returns where a call begins near the end of `text`, which grew by one token; npos if nowhere.
size_t find_call_start(const std::string & text, const ToolFormat & format);

}  // namespace luup
