#include "base/text.h"

#include <algorithm>

namespace luup {

namespace {

const char replacement[] = "\xEF\xBF\xBD";  // U+FFFD

enum class Scan { whole, partial, invalid };

struct Char {
    Scan   scan;
    size_t length;  // bytes to step over
};

// Classifies the bytes at `text[i]` by table 3-7 of the Unicode standard, "Well-Formed UTF-8 Byte Sequences".
Char read_char(std::string_view text, size_t i) {
    const auto byte  = [&](size_t k) { return static_cast<unsigned char>(text[k]); };
    const auto first = byte(i);
    if (first < 0x80) {
        return { Scan::whole, 1 };
    }
    size_t        length = 0;
    unsigned char low = 0x80, high = 0xBF;  // of the second byte
    if (first >= 0xC2 && first <= 0xDF) {
        length = 2;
    } else if (first >= 0xE0 && first <= 0xEF) {
        length = 3;
        low    = first == 0xE0 ? 0xA0 : 0x80;
        high   = first == 0xED ? 0x9F : 0xBF;
    } else if (first >= 0xF0 && first <= 0xF4) {
        length = 4;
        low    = first == 0xF0 ? 0x90 : 0x80;
        high   = first == 0xF4 ? 0x8F : 0xBF;
    } else {
        return { Scan::invalid, 1 };
    }
    for (size_t k = 1; k < length; k++) {
        if (i + k >= text.size()) {
            return { Scan::partial, k };
        }
        if (byte(i + k) < low || byte(i + k) > high) {
            return { Scan::invalid, k };
        }
        low  = 0x80;
        high = 0xBF;
    }
    return { Scan::whole, length };
}

}  // namespace

size_t utf8_find_invalid(std::string_view text) {
    for (size_t i = 0; i < text.size();) {
        const Char c = read_char(text, i);
        if (c.scan != Scan::whole) {
            return i;
        }
        i += c.length;
    }
    return std::string_view::npos;
}

size_t utf8_prefix(std::string_view text, size_t limit) {
    if (text.size() <= limit) {
        return text.size();
    }
    while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) {
        limit--;
    }
    return limit;
}

std::string utf8_sanitize(std::string_view text) {
    Utf8Stream  stream;
    std::string whole = stream.push(text);
    return whole + stream.finish();
}

std::vector<uint32_t> code_points(std::string_view text) {
    std::vector<uint32_t> out;
    for (size_t i = 0; i < text.size();) {
        const auto   first  = static_cast<unsigned char>(text[i]);
        const size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
        uint32_t     code   = length == 1 ? first : first & (0xFF >> (length + 1));
        for (size_t k = 1; k < length && i + k < text.size(); k++) {
            code = (code << 6) | (static_cast<unsigned char>(text[i + k]) & 0x3F);
        }
        out.push_back(code);
        i += length;
    }
    return out;
}

size_t count_code_points(std::string_view text) {
    return std::count_if(text.begin(), text.end(),
                         [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

std::string Utf8Stream::push(std::string_view bytes) {
    pending_.append(bytes);
    std::string out;
    size_t      i = 0;
    while (i < pending_.size()) {
        const Char c = read_char(pending_, i);
        if (c.scan == Scan::partial) {
            break;
        }
        if (c.scan == Scan::whole) {
            out.append(pending_, i, c.length);
        } else {
            out += replacement;
        }
        i += c.length;
    }
    pending_.erase(0, i);
    return out;
}

std::string Utf8Stream::finish() {
    std::string out = pending_.empty() ? "" : replacement;
    pending_.clear();
    return out;
}

}  // namespace luup
