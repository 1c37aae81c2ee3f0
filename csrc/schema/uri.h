// URIs by which the schemas of one document refer to each other (RFC 3986).
#pragma once

#include <string>

namespace luup {

struct Uri {
    std::string scheme, authority, path, fragment;
    bool        has_authority = false;

    static Uri parse(const std::string & text);

    // Returns the URI without its fragment.
    std::string text() const;
};

// Resolves `reference` relative to `base`. Returns it without its fragment.
std::string resolve_uri(const std::string & base, const std::string & reference);

std::string percent_decoded(const std::string & text);

}  // namespace luup
