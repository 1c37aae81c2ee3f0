// Schemas as prompts show them.
#include "schema/prompt_text.h"

#include "base/json.h"
#include "check.h"

#include <cstdio>
#include <string>

using namespace luup;

namespace {

bool is_shown(const std::string & schema, const std::string & expected) {
    const std::string text = prompt_text(read_json(schema, "the schema"));
    if (text != expected) {
        std::printf("%s\n", text.c_str());
    }
    return text == expected;
}

}  // namespace

CASE(definitions_stand_where_they_are_referred_to) {
    CHECK(is_shown(R"({"$defs":{"A":{"type":"integer"}},"properties":{"x":{"$ref":"#/$defs/A","title":"X"}}})",
                   R"({"properties":{"x":{"type":"integer","title":"X"}}})"));
    CHECK(is_shown(R"({"$ref":"#/definitions/A","definitions":{"A":{"items":{"$ref":"#/definitions/B"}},"B":{}}})",
                   R"({"items":{}})"));
    // A property may be called like a keyword, and an example may look like a reference.
    CHECK(is_shown(R"({"$defs":{"A":{}},"properties":{"$ref":{"$ref":"#/$defs/A"},"default":{"$ref":"#/$defs/A"}}})",
                   R"({"properties":{"$ref":{},"default":{}}})"));
    CHECK(is_shown(R"({"const":{"$ref":"#/$defs/A"},"$defs":{"A":{}}})", R"({"const":{"$ref":"#/$defs/A"}})"));
}

CASE(recursive_definitions_stay) {
    const std::string node = R"({"properties":{"next":{"$ref":"#/$defs/Node"},"colour":{"enum":["red"]}}})";
    CHECK(is_shown(R"({"$ref":"#/$defs/Node","$defs":{"Colour":{"enum":["red"]},"Node":{"properties":{"next":)"
                   R"({"$ref":"#/$defs/Node"},"colour":{"$ref":"#/$defs/Colour"}}}}})",
                   R"({"$ref":"#/$defs/Node","$defs":{"Node":)" + node + "}}"));
    const std::string root = R"({"properties":{"next":{"$ref":"#"}}})";
    CHECK(is_shown(root, root));
}

CASE(what_can_not_be_moved_stays) {
    for (const std::string schema : {
             R"({"$defs":{"A":{"type":"integer"}},"items":{"$ref":"#/$defs/A","minimum":1}})",
             R"({"$defs":{"A":{"$id":"urn:a"}},"items":{"$ref":"#/$defs/A"}})",
             R"({"properties":{"a":{},"b":{"$ref":"#/properties/a"}}})",
             R"({"$defs":{"A":{}},"items":{"$ref":"#/$defs/missing"}})",
         }) {
        CHECK(is_shown(schema, schema));
    }
}

// Two references to each definition would double the text with each of them.
CASE(a_text_that_would_explode_stays) {
    std::string schema = R"({"$ref":"#/$defs/d0","$defs":{)";
    for (int i = 0; i < 40; i++) {
        const std::string next = R"({"$ref":"#/$defs/d)" + std::to_string(i + 1) + "\"}";
        schema += "\"d" + std::to_string(i) + R"(":{"properties":{"a":)" + next + R"(,"b":)" + next + "}},";
    }
    schema += R"("d40":{}}})";
    CHECK(is_shown(schema, schema));
}

CASE(long_patterns_beside_a_format_are_left_out) {
    const std::string pattern = R"("pattern":")" + std::string(101, 'x') + "\"";
    CHECK(is_shown(R"({"items":{"format":"date","allOf":[{)" + pattern + "}]," + pattern + "}}",
                   R"({"items":{"format":"date"}})"));
    const std::string alone = "{\"items\":{" + pattern + "}}";
    CHECK(is_shown(alone, alone));
    const std::string brief = R"({"format":"date","pattern":"^2"})";
    CHECK(is_shown(brief, brief));
}
