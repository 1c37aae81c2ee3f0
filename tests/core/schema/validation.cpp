// Validation of whole values, and of uniqueItems while they are written.
#include "check.h"
#include "schema/guard.h"
#include "schema/schema.h"

#include <string>
#include <utility>

using namespace luup;
using Json = nlohmann::ordered_json;

CASE(errors_can_be_acted_on) {
    const auto                                  schema  = Schema::compile(R"({
        "type": "object", "required": ["age"], "additionalProperties": false,
        "properties": {
            "age": {"type": "integer", "minimum": 0}, "size": {"enum": ["s", "m"]}, "name": {"type": "string", "minLength": 2}, "born": {"format": "date"},
            "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": true},
            "pet": {"oneOf": [
                {"type": "object", "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}}, "required": ["kind"]},
                {"type": "object", "properties": {"kind": {"const": "dog"}, "legs": {"type": "integer"}}, "required": ["kind"]}]}}})");
    const std::pair<const char *, const char *> cases[] = {
        { R"({"age":1})", "" },
        { R"({"age":1.0})", "" },
        { R"([])", "/: must be an object, not an array ([])" },
        { R"({})", "/: lacks the required property \"age\"" },
        { R"({"age":-3})", "/age: must be at least 0, not -3" },
        { R"({"age":1.5})", "/age: must be an integer, not a number (1.5)" },
        { R"({"age":null})", "/age: must be an integer, not null" },
        { R"({"age":1,"size":"l"})", "/size: must be one of \"s\", \"m\", not \"l\"" },
        { R"({"age":1,"name":"é"})", "/name: must have at least 2 characters, not 1" },
        { R"({"age":1,"born":"2023-02-29"})", "/born: must be a date such as \"2024-01-31\", not \"2023-02-29\"" },
        { R"({"age":1,"tags":["a","b","a"]})", "/tags: must not have equal items, but items 0 and 2 are both \"a\"" },
        { R"({"age":1,"tags":["a",1]})", "/tags/1: must be a string, not an integer (1)" },
        { R"({"age":1,"pet":{"kind":"dog","legs":"4"}})", "/pet/legs: must be an integer, not a string (\"4\")" },
        { R"({"age":1,"aeg":2})", "/: has the unknown property \"aeg\"" },
    };
    for (const auto & [instance, error] : cases) {
        CHECK(schema->validate(Json::parse(instance)) == error);
    }
    CHECK(schema->validate({ { "age", std::string(100000, 'x') } }).size() < 400);
    CHECK(schema->is_object() && !Schema::compile("{}")->is_object());
}

CASE(guards_see_what_comes_twice) {
    const auto schema =
        Schema::compile(R"({"type":"object","additionalProperties":{"type":"array","items":{},"uniqueItems":true}})");
    CHECK(schema->needs_guard());
    const std::pair<const char *, bool> cases[] = {
        { R"({"a":[1,2,"1",[1],{"x":1}],"b":[1]})", true },
        { R"({"a":[1,1]})", false },
        { R"({"a":[1,1.0]})", false },
        { R"({"a":[{"x":1,"y":[2]},{"y":[2],"x":1}]})", false },
        { R"({"a":[[1,2],[2,1]]})", true },
        { R"({"a":["x]","x\"]","x]"]})", false },
        { R"({"a":[],"a":[]})", false },
        { R"({"a":[],"\u0061":[]})", false },
        { R"({"a":[[1,1],{"k":1}]})", true }, // the inner array may repeat
        { R"({"a":[{"k":1,"k":2}]})", false },
    };
    for (const auto & [text, fine] : cases) {
        const std::string whole = text;
        for (size_t cut = 0; cut <= whole.size(); cut++) {
            SchemaGuard guard(schema);
            const bool  first  = guard.accept(whole.substr(0, cut));
            SchemaGuard copy   = guard;
            const bool  second = first && copy.accept(whole.substr(cut));
            CHECK(second == fine);
            CHECK(!first || guard.accept(whole.substr(cut)) == fine); // the copy went its own way
        }
    }
    CHECK(!Schema::compile(R"({"type":"array","items":{"type":"boolean"},"uniqueItems":true})")->needs_guard());
    CHECK(!Schema::compile(R"({"type":"object","properties":{"a":{"type":"string"}}})")->needs_guard());
}

CASE(guards_count_where_automata_would_be_too_large) {
    const auto schema = Schema::compile(
        R"({"anyOf":[{"type":"string","pattern":"^(ab|cde)+x{3}$","maxLength":20000},{"const":"Other"}]})");
    CHECK(schema->needs_guard());
    std::string text = "\"";
    for (int i = 0; i < 9998; i++) {
        text += "ab";
    }
    for (const auto & [end, fine] : { std::make_pair("xxx\"", true), std::make_pair("ab", false) }) {
        SchemaGuard guard(schema);
        CHECK(guard.accept(text));
        CHECK(guard.accept(end) == fine);
    }
    SchemaGuard guard(schema);
    CHECK(guard.accept("\"Other\""));
    CHECK(!Schema::compile(R"({"type":"string","pattern":"^(ab|cde)+x{3}$","maxLength":200})")->needs_guard());
}

CASE(a_text_that_is_not_json_has_no_choices) {
    const auto schema = Schema::compile(R"({"properties":{"k":{"enum":["a","b"]}}})");
    CHECK(schema->choices(R"({"k": "a"})").size() == 1);
    for (const char * text : { "", "{", "{\"k\":\xd4 1, \"a", "{\"k\": \"a", "[[[[", "{\"k\": \"a\"" }) {
        CHECK(schema->choices(text).empty());
    }
}
