// Which values the grammar of a schema allows, and where it lists them.
#include "check.h"
#include "recogniser.h"
#include "schema/schema.h"

#include <cstdio>
#include <string>
#include <tuple>
#include <vector>

using namespace luup;

namespace {

void check_allowed(Recogniser & recogniser, const char * schema, const std::string & instance, bool expected) {
    if (recogniser.allows(instance) != expected) {
        std::printf("%s %s %s\n", schema, expected ? "refuses" : "allows", instance.c_str());
        throw CheckFailed();
    }
}

}  // namespace

CASE(natural_values_can_be_written) {
    const std::vector<std::tuple<const char *, std::vector<const char *>, std::vector<const char *>>> cases = {
        { R"({"type":"integer"})",
          { "0", "-7", "1234567890123456", "123456789012345678901234567890" },
          { "1.0", "00", "+1", "-0" } },
        { R"({"type":"number"})", { "0", "-7.25", "1e10", "3.141592653589793" }, { ".5", "1.", "NaN", "01", "1e999" } },
        { R"({"type":"number","minimum":0.5})", { "0.5", "0.75", "1", "12345.678" }, { "0.4", "-1", "0" } },
        { R"({"type":"number","minimum":0,"maximum":1})",
          { "0", "1", "0.0", "1.0", "0.999" },
          { "1.1", "-0.1", "1.00001" } },
        { R"({"type":"integer","minimum":1000000000000000000,"exclusiveMaximum":9223372036854775808})",
          { "1000000000000000000", "9223372036854775807" },
          { "999999999999999999", "9223372036854775808", "-1" } },
        { R"({"type":"integer","minimum":37})", { "37", "100", "12345678901234567890" }, { "36", "9", "-40" } },
        { R"({"type":"integer","multipleOf":7})", { "0", "-14", "7000000000000000000000007" }, { "8", "-1" } },
        { R"({"type":"number","multipleOf":0.05})", { "19.95", "12345678901234.55" }, { "19.99", "0.01" } },
        { R"({"type":"number","exclusiveMinimum":0})",
          { "1e-5", "0.1234567890123456789", "2E+30", "123456789012345678901.5" },
          { "0", "0.00", "-1", "0e1" } },
        { R"({"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1})",
          { "1e-5", "0.9999999999999999" },
          { "0", "1.0", "0.99999999999999999999", "1e0", "1e5" } },
        { R"({"type":"number","minimum":1e-300,"maximum":1e-299})", { "1e-300", "9.5e-300" }, { "0", "1", "1e-299" } },
        { R"({"type":"string","maxLength":3})",
          { R"("")", R"("a\"\n")" },
          { R"("abcd")", R"("\u0041")", "\"\x01\"", R"("a)" } },
        { R"({"type":"string","format":"date"})",
          { R"("2024-02-29")", R"("1815-12-10")", R"("9999-12-31")" },
          { R"("2024-02-30")", R"("2023-02-29")", R"("1900-02-29")", R"("0000-01-01")", R"("2024-13-01")", R"("x")" } },
        { R"({"type":"string","format":"time"})",
          { R"("10:30")", R"("10:30:00")", R"("10:30:00.5Z")", R"("23:59+02:00")" },
          { R"("24:00")", R"("9:30")" } },
        { R"({"type":"string","format":"date-time"})",
          { R"("2024-05-01T10:00:00")", R"("2024-05-01T10:00")", R"("2024-05-01T10:00:00Z")" },
          { R"("2024-05-01")" } },
        { R"({"type":"string","format":"duration"})",
          { R"("PT0.5S")", R"("-P1DT2H")", R"("P1Y2M10DT2H30M")", R"("P3W")" },
          { R"("P")", R"("PT")", R"("1D")" } },
        { R"({"type":"string","format":"uri"})",
          { R"("http://localhost:8000/x?y=1#z")", R"url("https://en.wikipedia.org/wiki/C%2B%2B_(x)")url" },
          { R"("example.com")" } },
        { R"({"type":"string","format":"ipv4network"})",
          { R"("10.1.2.0/23")", R"("0.0.0.0/0")" },
          { R"("10.1.3.0/23")" } },
        { R"({"type":"string","format":"base64"})",
          { R"("")", R"("Zm9v")", R"("Zm9vYg==")", R"("Zm9vYmE=")" },
          { R"("Zm9")", R"("Zm9vYg=")", R"("Zm9v
")",
            R"("Zm 9v")" } },
        { R"({"type":"array","items":{"type":"boolean"}})",
          { "[]", "[true]", "[true,false]" },
          { "[true,]", "[,]", "[ true]" } },
        { R"({"type":"object","properties":{"a":{"const":1},"b":{"const":2}},"required":["b"]})",
          { R"({"b":2})", R"({"a":1,"b":2})" },
          { R"({"a":1})", R"({"b":2,"a":1})", R"({"b":2,"c":3})", "{}" } },
        { R"({"type":"object","additionalProperties":{"type":"null"}})",
          { "{}", R"({"any key":null})" },
          { R"({"":null})", R"({"a":1})" } },
        { R"({"type":"string","pattern":"(?i)^[a-c]x\\z"})", { R"("ax")", R"("BX")" }, { R"("dx")", R"("axx")" } },
        { R"({"type":"string","pattern":"\\A[[:alpha:]_]+$"})", { R"("a_B")" }, { R"("a:")", R"("1")" } },
        { R"({"type":"string","pattern":"^\\p{L}+\\P{L}$"})", { R"("Köln7")", R"("東京!")" }, { R"("7")" } },
        { R"({"type":"string","pattern":"^(?=.*[A-Z])(?=.*[0-9]).{4,}$"})",
          { R"("abC1")" },
          { R"("abc1")", R"("A1")" } },
        { R"({"type":"object","properties":{}})", { "{}" }, { R"({"a":1})" } },
        { R"({"anyOf":[{"type":"null"},{"type":"integer","minimum":0,"maximum":9}]})",
          { "null", "7" },
          { "10", "nul" } },
    };
    for (const auto & [text, valid, invalid] : cases) {
        Recogniser recogniser(Schema::compile(text)->grammar("root", Spacing::Compact));
        for (const char * instance : valid) {
            check_allowed(recogniser, text, instance, true);
        }
        for (const char * instance : invalid) {
            check_allowed(recogniser, text, instance, false);
        }
    }
}

CASE(values_are_as_long_as_the_schema_allows) {
    const auto times = [](const std::string & text, int n) {
        std::string out;
        for (int i = 0; i < n; i++) {
            out += text;
        }
        return out;
    };
    const auto  quoted = [](const std::string & text) { return "\"" + text + "\""; };
    std::string names;
    for (int i = 0; i < 200; i++) {
        names += (i > 0 ? "," : "") + quoted(times("n", 60) + std::to_string(i)) + ":1";
    }
    const std::vector<std::tuple<const char *, std::vector<std::string>, std::vector<std::string>>> cases = {
        { R"({"type":"string"})", { quoted(times("word ", 1000)) }, {} },
        { R"({"type":"string","maxLength":2000})", { quoted(times("x", 2000)) }, { quoted(times("x", 2001)) } },
        { R"({"type":"string","minLength":900})", { quoted(times("x", 2000)) }, { quoted(times("x", 899)) } },
        { R"({"type":"string","pattern":"^[a-z ]+$"})", { quoted(times("word ", 200)) }, { quoted("A") } },
        { R"({"type":"string","format":"base64"})", { quoted(times("Zm9v", 500)) }, {} },
        { R"({"type":"integer"})", { times("9", 100) }, {} },
        { R"({"type":"array","items":{"type":"integer"}})", { "[" + times("0,", 999) + "0]" }, {} },
        { R"({"type":"array","items":{"type":"null"},"maxItems":1000})",
          { "[" + times("null,", 999) + "null]" },
          { "[" + times("null,", 1000) + "null]" } },
        { R"({"type":"array","prefixItems":[{"type":"string"}],"items":{"type":"integer"}})",
          { R"(["a")" + times(",1", 200) + "]" },
          {} },
        { R"({"type":"object","additionalProperties":{"type":"integer"}})", { "{" + names + "}" }, {} },
        { "{}", { times("{\"a\":[", 20) + times("]}", 20), "[" + times("1,", 99) + "1]" }, {} },
        { R"({"$defs":{"n":{"type":"object","properties":{"next":{"anyOf":[{"$ref":"#/$defs/n"},{"type":"null"}]}},"required":["next"]}},"$ref":"#/$defs/n"})",
          { times("{\"next\":", 50) + "null" + times("}", 50) },
          {} },
    };
    for (const auto & [text, valid, invalid] : cases) {
        Recogniser recogniser(Schema::compile(text)->grammar("root", Spacing::Compact));
        for (const std::string & instance : valid) {
            check_allowed(recogniser, text, instance, true);
        }
        for (const std::string & instance : invalid) {
            check_allowed(recogniser, text, instance, false);
        }
    }
}

CASE(choices_are_where_the_schema_lists_values) {
    const auto               schema = Schema::compile(R"({
        "type": "object",
        "properties": {"ok": {"type": "boolean"}, "n": {"type": "integer"}, "c": {"anyOf": [{"enum": ["a\"b"]}, {"type": "null"}]}, "l": {"items": {"const": 1}, "type": "array"},
                       "o": {"anyOf": [{"properties": {"k": {"const": "p"}, "v": {"enum": ["z"]}}, "required": ["k"], "type": "object"},
                                       {"properties": {"k": {"const": "q"}, "v": {"type": "string"}}, "required": ["k"], "type": "object"}]}}})");
    const std::string        text   = R"({"ok": true,"n":1, "c":"a\"b","l":[1, 1],"o":{"k":"q","v":"z"}})";
    std::vector<std::string> found;
    for (const SchemaChoice & c : schema->choices(text)) {
        found.push_back(c.pointer + " " + text.substr(c.begin, c.end - c.begin));
    }
    CHECK(found == std::vector<std::string>({ "/ok true", "/c \"a\\\"b\"", "/l/0 1", "/l/1 1", "/o/k \"q\"" }));
    CHECK(Schema::compile(R"({"enum":["a","b"]})")->choices("\"b\"").size() == 1);
    CHECK(Schema::compile("{}")->choices("true").empty());
}
