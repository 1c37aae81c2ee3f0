#include "answer/surrogates.h"

#include <cctype>
#include <cstdint>
#include <cstdlib>

namespace luup {

namespace {

constexpr uint32_t     first_mark  = 0x10F800;  // + the half's distance from U+D800; of the last private plane
constexpr const char * replacement = "\xEF\xBF\xBD";

std::string four_bytes(uint32_t c) {
    const auto tail = [&](int shift) { return static_cast<char>(0x80 | (c >> shift & 0x3F)); };
    return { static_cast<char>(0xF0 | c >> 18), tail(12), tail(6), tail(0) };
}

bool is_high(unsigned half) {
    return half >= 0xD800 && half < 0xDC00;
}

bool is_low(unsigned half) {
    return half >= 0xDC00 && half < 0xE000;
}

// Returns the surrogate of the escape at `at`; 0 if there is none.
unsigned half_at(const std::string & json, size_t at) {
    if (at + 6 > json.size() || json[at] != '\\' || json[at + 1] != 'u') {
        return 0;
    }
    for (size_t i = at + 2; i < at + 6; i++) {
        if (!std::isxdigit(static_cast<unsigned char>(json[i]))) {
            return 0;
        }
    }
    const auto unit = static_cast<unsigned>(std::strtoul(json.substr(at + 2, 4).c_str(), nullptr, 16));
    return is_high(unit) || is_low(unit) ? unit : 0;
}

// Returns the half that the four bytes at `at` stand for; 0 if they do not.
unsigned mark_at(const std::string & text, size_t at) {
    if (at + 4 > text.size() || static_cast<unsigned char>(text[at]) != 0xF4) {
        return 0;
    }
    uint32_t c = 4;
    for (size_t i = at + 1; i < at + 4; i++) {
        c = c << 6 | (static_cast<unsigned char>(text[i]) & 0x3F);
    }
    return c >= first_mark ? 0xD800 + (c - first_mark) : 0;
}

}  // namespace

std::string mark_surrogates(const std::string & json) {
    if (json.find("\\u") == std::string::npos) {
        return json;
    }
    std::string out;
    size_t      at = 0;
    while (at < json.size()) {
        const unsigned half = half_at(json, at);
        if (half == 0) {
            const size_t length = json[at] == '\\' && at + 1 < json.size() ? 2 : 1;
            out.append(json, at, length);
            at += length;
        } else if (is_high(half) && is_low(half_at(json, at + 6))) {
            out.append(json, at, 12);
            at += 12;
        } else {
            out += four_bytes(first_mark + (half - 0xD800));
            at += 6;
        }
    }
    return out;
}

std::string SurrogateJoiner::push(std::string piece, bool marked) {
    if (!marked && high_ == 0) {
        return piece;
    }
    std::string out;
    for (size_t at = 0; at < piece.size();) {
        const unsigned half = marked ? mark_at(piece, at) : 0;
        if (high_ != 0 && is_low(half)) {
            out += four_bytes(0x10000 + ((high_ - 0xD800) << 10) + (half - 0xDC00));
            high_ = 0;
            at += 4;
            continue;
        }
        out += finish();
        if (half == 0) {
            out += piece[at++];
            continue;
        }
        if (is_high(half)) {
            high_ = half;
        } else {
            out += replacement;
        }
        at += 4;
    }
    return out;
}

std::string SurrogateJoiner::finish() {
    const bool waits = high_ != 0;
    high_            = 0;
    return waits ? replacement : "";
}

}  // namespace luup
