#include "schema/uri.h"

#include <algorithm>
#include <cctype>
#include <vector>

namespace luup {

namespace {

// Resolves the segments "." and "..".
std::string without_dots(const std::string & path) {
    std::vector<std::string> parts;
    size_t                   begin = 0;
    while (begin <= path.size()) {
        const size_t      slash = std::min(path.find('/', begin), path.size());
        const std::string part  = path.substr(begin, slash - begin);
        const bool        last  = slash == path.size();
        if (part == "..") {
            if (parts.size() > 1) {
                parts.pop_back();
            }
        } else if (part != ".") {
            parts.push_back(part);
        }
        if (last && (part == "." || part == "..")) {
            parts.push_back("");
        }
        begin = slash + 1;
    }
    std::string out;
    for (size_t i = 0; i < parts.size(); i++) {
        out += (i > 0 ? "/" : "") + parts[i];
    }
    return out;
}

}  // namespace

Uri Uri::parse(const std::string & text) {
    Uri          uri;
    std::string  rest = text;
    const size_t hash = rest.find('#');
    if (hash != std::string::npos) {
        uri.fragment = rest.substr(hash + 1);
        rest.erase(hash);
    }
    const size_t colon = rest.find(':');
    if (colon != std::string::npos && colon > 0 && rest.find('/') > colon) {
        uri.scheme = rest.substr(0, colon);
        rest.erase(0, colon + 1);
    }
    if (rest.compare(0, 2, "//") == 0) {
        const size_t slash = rest.find('/', 2);
        uri.has_authority  = true;
        uri.authority      = rest.substr(2, slash == std::string::npos ? std::string::npos : slash - 2);
        rest               = slash == std::string::npos ? "" : rest.substr(slash);
    }
    uri.path = rest;
    return uri;
}

std::string Uri::text() const {
    return (scheme.empty() ? "" : scheme + ":") + (has_authority ? "//" + authority : "") + path;
}

std::string resolve_uri(const std::string & base, const std::string & reference) {
    Uri target = Uri::parse(reference);
    if (!target.scheme.empty()) {
        return target.text();
    }
    const Uri from = Uri::parse(base);
    target.scheme  = from.scheme;
    if (target.has_authority) {
        return target.text();
    }
    target.has_authority = from.has_authority;
    target.authority     = from.authority;
    if (target.path.empty()) {
        target.path = from.path;
    } else if (target.path[0] != '/') {
        const size_t slash = from.path.rfind('/');
        target.path        = without_dots(
            (slash == std::string::npos ? (from.has_authority ? "/" : "") : from.path.substr(0, slash + 1)) +
            target.path);
    } else {
        target.path = without_dots(target.path);
    }
    return target.text();
}

std::string percent_decoded(const std::string & text) {
    std::string out;
    for (size_t i = 0; i < text.size(); i++) {
        if (text[i] == '%' && i + 2 < text.size() && isxdigit(static_cast<unsigned char>(text[i + 1])) &&
            isxdigit(static_cast<unsigned char>(text[i + 2]))) {
            out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
            i += 2;
        } else {
            out += text[i];
        }
    }
    return out;
}

}  // namespace luup
