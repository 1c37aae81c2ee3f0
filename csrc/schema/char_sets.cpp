#include "schema/char_sets.h"

#include <map>
#include <utility>

namespace luup {

namespace {

Ranges inverse(const Ranges & set) {
    return invert_ranges(set, last_code_point);
}

Ranges merged(Ranges a, const Ranges & b) {
    a.insert(a.end(), b.begin(), b.end());
    return merge_ranges(std::move(a));
}

const Ranges ascii_digits = { { '0', '9' } };
const Ranges ascii_word   = { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } };
const Ranges beyond_ascii = { { 0x80, last_code_point } };
const Ranges ecma_space   = { { 9, 13 },          { 32, 32 },         { 0xA0, 0xA0 },     { 0x1680, 0x1680 },
                              { 0x2000, 0x200A }, { 0x2028, 0x2029 }, { 0x202F, 0x202F }, { 0x205F, 0x205F },
                              { 0x3000, 0x3000 }, { 0xFEFF, 0xFEFF } };

// Contains every decimal digit of Unicode and more, but not the letters of the most used scripts.
const Ranges around_digits = {
    { '0', '9' }, { 0x0530, 0x1CFF }, { 0xA620, 0xABFF }, { 0xFF10, 0xFF19 }, { 0x10000, last_code_point }
};

}  // namespace

Reading opposite(Reading reading) {
    return reading == Reading::exact ? Reading::exact : reading == Reading::within ? Reading::around : Reading::within;
}

Ranges shorthand(uint32_t letter, Reading reading) {
    if (letter == 'D' || letter == 'W' || letter == 'S') {
        return inverse(shorthand(letter + 32, opposite(reading)));
    }
    switch (letter) {
        case 'd': return reading == Reading::around ? around_digits : ascii_digits;
        case 'w': return reading == Reading::around ? merged(ascii_word, beyond_ascii) : ascii_word;
        default: break;
    }
    if (reading == Reading::exact) {
        return ecma_space;
    }
    return reading == Reading::within ? Ranges{ { 9, 13 }, { 32, 32 } }
                                      : merged(ecma_space, { { 0x1C, 0x1F }, { 0x85, 0x85 } });
}

std::optional<Ranges> unicode_property(const std::string & name, bool negated, Reading reading) {
    // Letters of the most used scripts, upper and lower case where Unicode has them side by side.
    static const Ranges latin  = { { 0xC0, 0xD6 }, { 0xD8, 0xF6 }, { 0xF8, 0x17F } };
    static const Ranges others = { { 0x391, 0x3A1 },   { 0x3A3, 0x3CE },   { 0x410, 0x44F },   { 0x5D0, 0x5EA },
                                   { 0x621, 0x63A },   { 0x641, 0x64A },   { 0x905, 0x939 },   { 0xE01, 0xE30 },
                                   { 0x3041, 0x3096 }, { 0x30A1, 0x30FA }, { 0x4E00, 0x9FA5 }, { 0xAC00, 0xD7A3 } };
    static const std::map<std::string, std::pair<Ranges, Ranges>> sets = {
        { "L", { { { 'A', 'Z' }, { 'a', 'z' } }, merged(latin, others) } },
        { "Lu", { { { 'A', 'Z' } }, { { 0xC0, 0xD6 }, { 0x391, 0x3A1 }, { 0x410, 0x42F } } } },
        { "Ll", { { { 'a', 'z' } }, { { 0xE0, 0xF6 }, { 0x3B1, 0x3C9 }, { 0x430, 0x44F } } } },
        { "N", { ascii_digits, {} } },
        { "Nd", { ascii_digits, {} } },
    };
    static const std::map<std::string, std::string> aliases = {
        { "Letter", "L" }, { "Alphabetic", "L" }, { "Uppercase", "Lu" }, { "Lowercase", "Ll" }, { "Number", "N" }
    };
    const auto alias = aliases.find(name);
    const auto found = sets.find(alias == aliases.end() ? name : alias->second);
    if (found == sets.end()) {
        return std::nullopt;
    }
    const auto & [ascii, beyond] = found->second;
    const Ranges least = merged(ascii, beyond), most = merged(ascii, beyond_ascii);
    if (negated) {
        return inverse(reading == Reading::within ? most : least);
    }
    return reading == Reading::within ? least : most;
}

std::optional<Ranges> posix_set(const std::string & name) {
    static const std::map<std::string, Ranges> sets = {
        { "alnum", { { '0', '9' }, { 'A', 'Z' }, { 'a', 'z' } } },
        { "alpha", { { 'A', 'Z' }, { 'a', 'z' } } },
        { "ascii", { { 0, 0x7F } } },
        { "blank", { { 9, 9 }, { 32, 32 } } },
        { "cntrl", { { 0, 0x1F }, { 0x7F, 0x7F } } },
        { "digit", ascii_digits },
        { "graph", { { '!', '~' } } },
        { "lower", { { 'a', 'z' } } },
        { "print", { { ' ', '~' } } },
        { "punct", { { '!', '/' }, { ':', '@' }, { '[', '`' }, { '{', '~' } } },
        { "space", { { 9, 13 }, { 32, 32 } } },
        { "upper", { { 'A', 'Z' } } },
        { "word", ascii_word },
        { "xdigit", { { '0', '9' }, { 'A', 'F' }, { 'a', 'f' } } },
    };
    const auto found = sets.find(name);
    return found == sets.end() ? std::nullopt : std::optional<Ranges>(found->second);
}

Ranges any_but_newline(Reading reading) {
    return inverse(reading == Reading::around ? Ranges{ { '\n', '\n' } }
                                              : Ranges{ { '\n', '\n' }, { '\r', '\r' }, { 0x2028, 0x2029 } });
}

}  // namespace luup
