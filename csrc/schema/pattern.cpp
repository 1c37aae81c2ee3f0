#include "schema/pattern.h"

#include "base/text.h"
#include "schema/regex.h"
#include "schema/word_boundaries.h"

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <utility>

namespace luup {

namespace {

// Returns the index after the group that begins at `begin`, or the size of the text if it has no end.
size_t end_of_group(const std::vector<uint32_t> & text, size_t begin) {
    int  depth    = 0;
    bool in_class = false;
    for (size_t i = begin; i < text.size(); i++) {
        const uint32_t c = text[i];
        if (c == '\\') {
            i++;
        } else if (in_class) {
            in_class = c != ']';
        } else if (c == '[') {
            in_class = true;
        } else if (c == '(') {
            depth++;
        } else if (c == ')' && --depth == 0) {
            return i + 1;
        }
    }
    return text.size();
}

bool begins_with(const std::vector<uint32_t> & text, std::string_view start) {
    return text.size() >= start.size() && std::equal(start.begin(), start.end(), text.begin(), [](char a, uint32_t b) {
               return static_cast<unsigned char>(a) == b;
           });
}

// Removes the flag "ignore case" for the whole expression; returns whether it was set.
bool take_ignore_case(std::vector<uint32_t> & text) {
    const std::ptrdiff_t at = begins_with(text, "^(?i)") ? 1 : 0;
    if (at == 0 && !begins_with(text, "(?i)")) {
        return false;
    }
    text.erase(text.begin() + at, text.begin() + at + 4);
    return true;
}

std::vector<uint32_t> joined(std::string_view head, const std::vector<uint32_t> & text, std::string_view tail) {
    std::vector<uint32_t> out(head.begin(), head.end());
    out.insert(out.end(), text.begin(), text.end());
    out.insert(out.end(), tail.begin(), tail.end());
    return out;
}

}  // namespace

Pattern::Pattern(const std::string & source, Extent extent)
    : source_(extent == Extent::Whole ? "^(?:" + source + ")$" : source) {
    std::vector<uint32_t> text  = code_points(source);
    const bool            whole = extent == Extent::Whole;
    const std::string     head  = whole && take_ignore_case(text) ? "^(?i)(?:" : "^(?:";
    if (whole && (begins_with(text, "(?=") || begins_with(text, "(?!"))) {
        text.insert(text.begin(), '^');
    }
    // "^(?!a)b" means "^b" and not "^a".
    while (text.size() > 3 && text[0] == '^' && text[1] == '(' && text[2] == '?' &&
           (text[3] == '!' || text[3] == '=')) {
        const bool   positive = text[3] == '=';
        const size_t end      = end_of_group(text, 1);
        add_part(joined(head, { text.begin() + 4, text.begin() + static_cast<std::ptrdiff_t>(end) }, ""), positive);
        text.erase(text.begin() + 1, text.begin() + static_cast<std::ptrdiff_t>(end));
    }
    if (!parts_.empty() && parse_regex(text, Reading::exact)->kind == Regex::Kind::choice) {
        throw std::invalid_argument("look-ahead in an alternative is not supported");
    }
    if (whole) {
        parse_regex(text, Reading::exact);  // throws, where the anchors would hide an unmatched parenthesis
        text = joined(head, text, ")$");
    }
    add_part(std::move(text), true);
}

void Pattern::add_part(std::vector<uint32_t> text, bool positive) {
    const auto build = [&](Reading reading) {
        return without_boundaries(build_nfa(*parse_regex(text, reading)), reading);
    };
    parts_.push_back({ build(Reading::exact), build(Reading::within), build(Reading::around), positive });
}

bool Pattern::search(std::string_view text) const {
    const std::vector<uint32_t> codes = code_points(text);
    return std::all_of(parts_.begin(), parts_.end(),
                       [&](const Part & part) { return luup::search(part.exact, codes) == part.positive; });
}

}  // namespace luup
