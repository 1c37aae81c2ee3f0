// The sets of characters that regular expressions name.
#pragma once

#include "base/ranges.h"

#include <cstdint>
#include <optional>
#include <string>

namespace luup {

// ECMA-262, Python and Rust differ in what \d, \w, \s, `.` and `$` match. `exact` is ECMA-262, `within` matches what
// all of them match, and `around` what any of them matches. Generated strings must match `within`; strings that must
// not match a pattern are generated to not match `around`.
enum class Reading { exact, within, around };

// Returns the reading for the complement of a set: `within` and `around` change places.
Reading opposite(Reading reading);

// Returns the set of \d, \w, \s or, for capital letters, its complement.
Ranges shorthand(uint32_t letter, Reading reading);

// Returns the set of \p{name}, or of \P{name}; nullopt if it is not known. Generated text has the letters of the most
// used scripts; validation accepts all characters beyond ASCII.
std::optional<Ranges> unicode_property(const std::string & name, bool negated, Reading reading);

// Returns the set of [:name:], which are ASCII characters; nullopt if there is none.
std::optional<Ranges> posix_set(const std::string & name);

// Returns the set of `.`.
Ranges any_but_newline(Reading reading);

}  // namespace luup
