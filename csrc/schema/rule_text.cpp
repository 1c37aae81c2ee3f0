#include "schema/rule_text.h"

#include <cstdint>
#include <cstdio>
#include <utility>

namespace luup {

namespace {

std::string code(uint32_t c) {
    char buffer[16];
    snprintf(buffer, sizeof(buffer), c < 0x100 ? "\\x%02X" : c < 0x10000 ? "\\u%04X" : "\\U%08X", c);
    return buffer;
}

}  // namespace

std::string literal(const std::string & text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
        }
        out += c;
    }
    return out + "\"";
}

std::string char_class(const Ranges & set) {
    std::string out = "[";
    for (const auto & range : set) {
        out += code(range.first) + (range.first == range.second ? "" : "-" + code(range.second));
    }
    return out + "]";
}

std::vector<std::string> json_characters(const Ranges & set) {
    static const Ranges plain = {
        { 0x20, 0x21 }, { 0x23, 0x5B }, { 0x5D, 0x7E }, { 0xA0, 0xD7FF }, { 0xE000, 0x10FFFF }
    };
    static const std::vector<std::pair<uint32_t, char>> escapes = { { '"', '"' }, { '\\', '\\' }, { 8, 'b' },
                                                                    { 12, 'f' },  { 10, 'n' },    { 13, 'r' },
                                                                    { 9, 't' } };
    std::vector<std::string>                            out;
    const Ranges                                        direct = intersect_ranges(set, plain);
    if (!direct.empty()) {
        out.push_back(char_class(direct));
    }
    Ranges letters;
    for (const auto & [character_code, letter] : escapes) {
        if (!intersect_ranges(set, { { character_code, character_code } }).empty()) {
            letters.emplace_back(letter, letter);
        }
    }
    if (!letters.empty()) {
        out.push_back("\"\\\\\" " + char_class(letters));
    }
    if (out.empty()) {
        // Control characters only if the set has no others.
        for (const auto & range : intersect_ranges(set, { { 1, 0x1F }, { 0x7F, 0x9F } })) {
            for (uint32_t c = range.first; c <= range.second; c++) {
                char buffer[24];
                snprintf(buffer, sizeof(buffer), "\"\\\\u00%02x\"", c);
                out.push_back(buffer);
            }
        }
    }
    return out;
}

// Control characters only if the set has no others.
std::vector<std::string> text_characters(const Ranges & set) {
    static const Ranges usual   = { { 9, 10 }, { 13, 13 }, { 0x20, 0x7E }, { 0xA0, 0xD7FF }, { 0xE000, 0x10FFFF } };
    static const Ranges control = { { 1, 0x1F }, { 0x7F, 0x9F } };
    for (const Ranges & characters : { usual, control }) {
        const Ranges found = intersect_ranges(set, characters);
        if (!found.empty()) {
            return { char_class(found) };
        }
    }
    return {};
}

std::string choice(const std::vector<std::string> & alternatives) {
    std::string out;
    for (const std::string & a : alternatives) {
        out += (out.empty() ? "" : " | ") + a;
    }
    return out;
}

}  // namespace luup
