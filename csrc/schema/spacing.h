// The white space that a grammar of JSON allows.
#pragma once

namespace luup {

enum class Spacing {
    Compact,   // none
    OneSpace,  // an optional space after each ':' and ','
};

}  // namespace luup
