// The limits of JSON texts.
#include "check.h"
#include "base/error.h"
#include "base/json.h"

#include <string>

using namespace luup;

namespace {

std::string nested(size_t depth, const std::string & open = "[", const std::string & close = "]") {
    std::string text, end;
    for (size_t i = 0; i < depth; i++) {
        text += open;
        end += close;
    }
    return text + (open.back() == ':' ? "1" : "") + end;
}

std::string error_of(const std::string & text) {
    try {
        read_json(text, "the text");
    } catch (const Error & e) {
        return e.code() == LUUP_ERROR_JSON_PARSE_FAILED ? e.what() : "another code";
    }
    return "";
}

}  // namespace

CASE(values_up_to_the_limit_are_read) {
    for (const auto & [open, close] : { std::pair("[", "]"), std::pair("{\"a\":", "}") }) {
        CHECK(error_of(nested(json_limits::depth, open, close)).empty());
        for (const size_t depth : { json_limits::depth + 1, size_t(1000), size_t(100000), size_t(3000000) }) {
            CHECK(error_of(nested(depth, open, close)).find("nested too deeply") != std::string::npos);
            CHECK(try_read_json(nested(depth, open, close)).is_discarded());
        }
    }
}

CASE(only_brackets_outside_of_strings_count) {
    const std::string brackets = nested(1000);
    CHECK(error_of("[\"" + brackets + "\", \"\\\"" + brackets + "\"]").empty());
    CHECK(!is_nested_too_deeply("[" + std::string(1000, ' ') + "[],[],{}]"));
    std::string wide = "[";
    for (int i = 0; i < 1000; i++) {
        wide += "[],";
    }
    CHECK(error_of(wide + "0]").empty());
}

CASE(unfinished_texts_are_refused_like_deep_ones) {
    CHECK(error_of(std::string(5000000, '[')).find("nested too deeply") != std::string::npos);
    CHECK(error_of("[1, 2").find("is not valid JSON") != std::string::npos);
    CHECK(error_of("").find("is not valid JSON") != std::string::npos);
    CHECK(error_of("\"\\").find("is not valid JSON") != std::string::npos);
}
