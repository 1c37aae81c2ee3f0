// Texts that the grammars of schemas generate are valid.
#include "check.h"
#include "deriver.h"
#include "schema/guard.h"
#include "schema/schema.h"

#include <cstdio>
#include <string>

using namespace luup;
using Json = nlohmann::ordered_json;

namespace {

const char * const generated[] = {
    R"({})",
    R"(true)",
    R"({"type":"integer","minimum":-17,"exclusiveMaximum":1205})",
    R"({"type":"integer","minimum":9007199254740993,"maximum":9223372036854775807})",
    R"({"type":"integer","multipleOf":7,"minimum":-100})",
    R"({"type":"number","minimum":-0.125,"exclusiveMaximum":33.7})",
    R"({"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1})",
    R"({"type":"number","multipleOf":0.25,"maximum":12})",
    R"({"type":"string","minLength":3,"maxLength":70})",
    R"({"type":"string","pattern":"^(\\d{3}-)?[A-Z]+$","maxLength":20})",
    R"({"type":"string","pattern":"foo|^ba[^\\d\\s]"})",
    R"({"type":"string","pattern":"^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$"})",
    R"({"type":"string","pattern":"\\bcat\\b"})",
    R"({"type":"string","pattern":"^\\w+\\b.\\B[^\\d]$"})",
    R"({"type":"string","not":{"pattern":"\\b[a-f]"},"minLength":2})",
    R"({"type":"string","format":"date-time"})",
    R"({"type":"string","format":"email"})",
    R"({"type":"string","format":"uri","maxLength":2083,"minLength":1})",
    R"({"type":"string","format":"ipv6"})",
    R"({"type":"string","format":"duration"})",
    R"({"type":"string","format":"base64"})",
    R"({"type":"string","format":"base64url"})",
    R"({"enum":["a","\"\\\n",1,1.5,null,true,{"a":[1]},[]]})",
    R"({"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":40})",
    R"({"type":"array","prefixItems":[{"type":"string"},{"type":"boolean"}],"items":false,"minItems":1})",
    R"({"type":"array","items":{"enum":["a","b","c","d"]},"uniqueItems":true,"minItems":2,"maxItems":3})",
    R"({"type":"array","contains":{"type":"integer"},"minContains":2,"maxContains":3})",
    R"({"type":"object","properties":{"a":{"type":"string"},"b":{"type":["integer","null"]},"c":{"$ref":"#/$defs/d"}},"required":["b"],"$defs":{"d":{"type":"boolean"}}})",
    R"({"type":"object","properties":{"a":{},"b":{},"c":{},"d":{}},"minProperties":2,"maxProperties":3})",
    R"({"type":"object","additionalProperties":{"type":"integer"},"minProperties":2})",
    R"({"type":"object","propertyNames":{"enum":["x","y"]},"additionalProperties":{"type":"null"}})",
    R"({"type":"object","patternProperties":{"^x-":{"type":"string"}},"properties":{"x-a":{"minLength":2}},"additionalProperties":false})",
    R"({"oneOf":[{"type":"object","properties":{"kind":{"const":"a"},"n":{"type":"integer"}},"required":["kind","n"]},{"type":"object","properties":{"kind":{"const":"b"}},"required":["kind"]}]})",
    R"({"oneOf":[{"type":"integer","minimum":5},{"type":"integer","maximum":10}]})",
    R"({"allOf":[{"type":"object","properties":{"a":{"minimum":3}},"required":["a"]},{"properties":{"a":{"type":"integer","maximum":5}}}],"unevaluatedProperties":false})",
    R"({"type":"string","not":{"enum":["a","b"]},"maxLength":2})",
    R"({"type":"integer","not":{"minimum":3,"maximum":7}})",
    R"({"if":{"properties":{"a":{"const":1}},"required":["a"]},"then":{"required":["b"]},"else":{"required":["c"]},"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"},"c":{"type":"string"}}})",
    R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"dependentRequired":{"a":["b"]}})",
    R"({"$defs":{"n":{"type":"object","properties":{"v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/n"},{"type":"null"}]}},"required":["v","next"]}},"$ref":"#/$defs/n"})",
};

}  // namespace

CASE(what_is_generated_is_valid) {
    for (const char * text : generated) {
        const auto schema = Schema::compile(text);
        for (const Spacing spacing : { Spacing::Compact, Spacing::OneSpace }) {
            Deriver deriver(schema->grammar("root", spacing), 5);
            for (int i = 0; i < 150; i++) {
                const std::string instance = deriver.text();
                SchemaGuard       guard(schema);
                if (!guard.accept(instance)) {
                    CHECK(schema->needs_guard());
                    continue;
                }
                const Json value = Json::parse(instance, nullptr, false);
                CHECK(!value.is_discarded());
                const std::string error = schema->validate(value);
                if (!error.empty()) {
                    std::printf("%s\n%s\n%s\n", text, instance.c_str(), error.c_str());
                }
                CHECK(error.empty());
            }
        }
    }
}

CASE(prefixes_name_every_rule) {
    const auto        schema  = Schema::compile(generated[27]);
    const std::string grammar = schema->grammar("tool-1", Spacing::OneSpace);
    CHECK(grammar.compare(0, 11, "tool-1 ::= ") == 0);
    for (size_t i = 0; i < grammar.size(); i = grammar.find('\n', i) + 1) {
        CHECK(grammar.compare(i, 6, "tool-1") == 0);
    }
    CHECK(schema->text() == Json::parse(generated[27]).dump());
}
