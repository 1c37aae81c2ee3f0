// Which schemas are refused, with the place in the message, and the limits.
#include "check.h"
#include "base/error.h"
#include "schema/schema.h"

#include <cstdio>
#include <string>
#include <utility>

using namespace luup;

namespace {

// Returns the message of the refusal, "" if the schema is accepted.
std::string refusal(const std::string & schema, luup_error code = LUUP_ERROR_INVALID_SCHEMA) {
    try {
        Schema::compile(schema);
    } catch (const Error & e) {
        CHECK(e.code() == code);
        return e.what();
    }
    return "";
}

std::string repeated(const std::string & text, size_t n) {
    std::string out;
    for (size_t i = 0; i < n; i++) {
        out += text;
    }
    return out;
}

}  // namespace

CASE(refusals_name_the_place) {
    const std::pair<const char *, const char *> cases[] = {
        { R"(1)", "/: " },
        { R"({"type":"object","properties":{"a/b":{"type":"int"}}})", "/properties/a~1b/type: " },
        { R"({"properties":{"a":{"$ref":"#/nowhere"}}})", "/properties/a/$ref: " },
        { R"({"properties":{"a":{"$ref":"http://example.com/x.json"}}})", "/properties/a/$ref: " },
        { R"({"items":{"$dynamicRef":"#x"}})", "/items/$dynamicRef: " },
        { R"({"$ref":"#"})", "/: refers to itself" },
        { R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})", "/: no value can be valid" },
        { R"({"type":"string","pattern":"(?<=a)b"})", "/pattern: " },
        { R"({"type":"string","pattern":"\\b+word"})", "/pattern: " },
        { R"({"type":"string","pattern":"a\\bb"})", "/: no value can be valid" },
        { R"({"type":"string","pattern":"(a"})", "/pattern: " },
        { R"({"patternProperties":{"(a)\\1":{}}})", "/patternProperties/(a)\\1: " },
        { R"({"minimum":"1"})", "/minimum: " },
        { R"({"multipleOf":0})", "/multipleOf: " },
        { R"({"minLength":-1})", "/minLength: " },
        { R"({"enum":1})", "/enum: " },
        { R"({"allOf":[]})", "/allOf: " },
        { R"({"$schema":"https://example.com/mine"})", "/$schema: " },
        { R"({"type":"integer","minimum":3,"maximum":2})", "/: no value can be valid" },
        { R"({"type":"string","not":{"format":"email"}})", "/not/format: " },
        { R"(false)", "/: no value can be valid" },
    };
    for (const auto & [schema, begin] : cases) {
        const std::string message = refusal(schema);
        if (message.compare(0, std::string(begin).size(), begin) != 0) {
            std::printf("%s: %s\n", schema, message.c_str());
            throw CheckFailed();
        }
    }
    CHECK(!refusal("{", LUUP_ERROR_JSON_PARSE_FAILED).empty());
    CHECK(!refusal("\"\xFF\"", LUUP_ERROR_JSON_PARSE_FAILED).empty());
    CHECK(!refusal(R"({"const":"\ud800"})", LUUP_ERROR_JSON_PARSE_FAILED).empty());
}

CASE(limits_hold_before_anything_is_built) {
    CHECK(!refusal(repeated("[", 100000)).empty());
    CHECK(!refusal(repeated("{\"items\":", 100000)).empty());
    CHECK(refusal(repeated("{\"items\":", 60) + "{}" + repeated("}", 60)).empty());
    CHECK(!refusal(repeated("{\"items\":", 66) + "{}" + repeated("}", 66)).empty());
    CHECK(!refusal("{\"description\":\"" + std::string(1 << 20, 'x') + "\"}").empty());
    CHECK(!refusal("{\"anyOf\":[" + repeated("{},", 10000) + "{}]}").empty());
    CHECK(!refusal("{\"enum\":[" + repeated("1,", 20000) + "2]}").empty());
    CHECK(!refusal("{\"const\":\"" + std::string(65537, 'x') + "\"}").empty());
    CHECK(!refusal("{\"pattern\":\"" + std::string(4001, 'x') + "\"}").empty());
    CHECK(!refusal(R"({"pattern":"a{10001}"})").empty());
    CHECK(!refusal(R"({"pattern":"((a{99}){99}){99}"})").empty());
    CHECK(!refusal(R"({"pattern":"^(a|b)*a(a|b){20}$"})").empty());
    CHECK(!refusal(R"({"minItems":100000,"type":"array"})").empty());
    CHECK(refusal(R"({"maxItems":1000000000,"type":"array"})").empty());
    // References that double the work at each level.
    std::string doubling = R"({"$ref":"#/$defs/d0","$defs":{)";
    for (int i = 0; i < 60; i++) {
        const std::string next = R"({"$ref":"#/$defs/d)" + std::to_string(i + 1) + "\"}";
        doubling += "\"d" + std::to_string(i) + R"(":{"allOf":[)" + next + "," + next + "]},";
    }
    const auto schema = Schema::compile(doubling + R"("d60":{"type":"string"}}})");
    CHECK(schema->validate("a").empty());
    CHECK(!schema->validate(1).empty());
}
