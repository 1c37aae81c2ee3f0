// UTF-8.
#include "check.h"
#include "base/text.h"

#include <string>

using namespace luup;

CASE(utf8_finds_what_is_invalid) {
    CHECK(utf8_find_invalid("") == std::string_view::npos);
    CHECK(utf8_find_invalid("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80") == std::string_view::npos);
    CHECK(utf8_find_invalid("ab\x80") == 2);                // a lone continuation
    CHECK(utf8_find_invalid("\xC0\xAF") == 0);              // overlong
    CHECK(utf8_find_invalid("x\xED\xA0\x80") == 1);         // a surrogate
    CHECK(utf8_find_invalid("\xF4\x90\x80\x80") == 0);      // beyond U+10FFFF
    CHECK(utf8_find_invalid("a\xE2\x82") == 1);             // cut short
}

CASE(utf8_stream_never_splits_a_character) {
    const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z";
    for (size_t first = 0; first <= text.size(); first++) {
        for (size_t second = first; second <= text.size(); second++) {
            Utf8Stream  stream;
            std::string whole;
            for (const std::string & piece :
                 { text.substr(0, first), text.substr(first, second - first), text.substr(second) }) {
                const std::string out = stream.push(piece);
                CHECK(utf8_find_invalid(out) == std::string_view::npos);
                whole += out;
            }
            CHECK(whole + stream.finish() == text);
        }
    }
    Utf8Stream cut;
    CHECK(cut.push("a\xF0\x9F") == "a");
    CHECK(cut.finish() == "\xEF\xBF\xBD");
    CHECK(utf8_sanitize("a\xFF"
                        "b") ==
          "a\xEF\xBF\xBD"
          "b");
}
