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

CASE(texts_are_read_as_nlohmann_reads_them) {
    for (const std::string text : { "",
                                    " ",
                                    "null",
                                    "true",
                                    "-0",
                                    "1e400",
                                    "18446744073709551616",
                                    "-9223372036854775809",
                                    "1.5",
                                    "\"\\ud800\"",
                                    "\"\\u00e9\\ud83d\\ude00\"",
                                    "[]",
                                    "{}",
                                    "[1,[2,{}],\"a\"]",
                                    "{\"a\":1,\"b\":[{\"a\":2}],\"a\":3}",
                                    "{\"\":{}}",
                                    "[1,]",
                                    "{\"a\"}",
                                    "{\"a\":}",
                                    "1 2",
                                    "\xff",
                                    "\"\xff\"",
                                    "[NaN]" }) {
        const Json ours = try_read_json(text), theirs = Json::parse(text, nullptr, false);
        CHECK(ours.is_discarded() == theirs.is_discarded());
        CHECK(ours.is_discarded() || ours.dump() == theirs.dump());
        std::string problem, reason;
        CHECK(try_read_json(text, &problem).is_discarded() == ours.is_discarded());
        try {
            (void) Json::parse(text);
        } catch (const Json::exception & e) {
            reason = std::string("is not valid JSON: ") + e.what();
        }
        CHECK(problem == reason);
    }
}

CASE(objects_with_many_properties_are_read_in_order) {
    for (const int count : { 31, 32, 33, 34, 100, 50000 }) {
        std::string text = "{\"first\":{\"x\":0}";
        for (int i = 0; i < count; i++) {
            text += ",\"" + std::to_string(i) + "\":" + std::to_string(i);
        }
        const Json value = read_json(text + ",\"first\":{\"x\":[1]},\"5\":{}}", "the text");
        CHECK(value.size() == static_cast<size_t>(count) + 1);
        CHECK(value.begin().key() == "first" && value.begin()->dump() == "{\"x\":[1]}");
        CHECK(std::prev(value.end()).key() == std::to_string(count - 1) && value["5"].dump() == "{}");
    }
}
