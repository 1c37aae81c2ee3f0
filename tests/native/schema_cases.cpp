// JSON Schema without a model: what is refused, what the grammars allow (read
// by llama.cpp's parser and matcher), and validation.
#include "check.h"
#include "error.h"
#include "schema.h"

#include "llama-grammar.h"

#include <cstdio>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace luup;
using Json = nlohmann::ordered_json;

namespace {

// Derives texts from a grammar at random; past a length it takes the shortest
// way to an end.
class Deriver {
  public:
    Deriver(const std::string & grammar, uint32_t seed) : random_(seed) {
        CHECK(parser_.parse(grammar.c_str()));
        for (const llama_grammar_rule & rule : parser_.rules) {
            alternatives_.emplace_back();
            for (size_t begin = 0, i = 0; i < rule.size(); i++) {
                if (rule[i].type == LLAMA_GRETYPE_ALT ||
                    rule[i].type == LLAMA_GRETYPE_END) {
                    alternatives_.back().emplace_back(begin, i);
                    begin = i + 1;
                }
            }
        }
        least_.assign(parser_.rules.size(), endless);
        for (bool changed = true; changed;) {
            changed = false;
            for (size_t r = 0; r < alternatives_.size(); r++) {
                for (const auto & a : alternatives_[r]) {
                    const size_t n = length(r, a);
                    changed        = changed || n < least_[r];
                    least_[r]      = std::min(least_[r], n);
                }
            }
        }
    }

    std::string text() {
        const size_t limit = 20 + random_() % 300;
        std::string  out;
        todo_.clear();
        enter(parser_.symbol_ids.at("root"), false);
        while (!todo_.empty()) {
            auto & [r, range] = todo_.back();
            if (range.first == range.second) {
                todo_.pop_back();
                continue;
            }
            const llama_grammar_rule & rule = parser_.rules[r];
            if (rule[range.first].type == LLAMA_GRETYPE_RULE_REF) {
                enter(rule[range.first++].value, out.size() > limit);
            } else {
                out += character(rule, range);
            }
        }
        return out;
    }

  private:
    using Range = std::pair<size_t, size_t>;

    static constexpr size_t endless = size_t(1) << 40;

    size_t length(size_t r, Range range) const {
        size_t n = 0;
        for (size_t i = range.first; i < range.second; i++) {
            const llama_grammar_element & e = parser_.rules[r][i];
            n += e.type == LLAMA_GRETYPE_RULE_REF ? least_[e.value]
                                                  : e.type == LLAMA_GRETYPE_CHAR;
        }
        return std::min(n, endless);
    }

    void enter(uint32_t r, bool shortest) {
        std::vector<Range> possible;
        for (const Range & a : alternatives_[r]) {
            if (length(r, a) < endless) {
                possible.push_back(a);
            }
        }
        CHECK(!possible.empty());
        Range chosen = possible[random_() % possible.size()];
        for (const Range & a : possible) {
            chosen = shortest && length(r, a) < length(r, chosen) ? a : chosen;
        }
        todo_.emplace_back(r, chosen);
    }

    std::string character(const llama_grammar_rule & rule, Range & range) {
        std::vector<std::pair<uint32_t, uint32_t>> all;
        CHECK(rule[range.first].type == LLAMA_GRETYPE_CHAR);
        do {
            const uint32_t low = rule[range.first++].value;
            const bool     to  = range.first < range.second &&
                                 rule[range.first].type == LLAMA_GRETYPE_CHAR_RNG_UPPER;
            all.emplace_back(low, to ? rule[range.first++].value : low);
        } while (range.first < range.second &&
                 rule[range.first].type == LLAMA_GRETYPE_CHAR_ALT);
        const auto & [low, high] = all[random_() % all.size()];
        return utf8(
            low + random_() % std::min<uint32_t>(high - low + 1,
                                                 random_() % 8 ? 0x300 : 0x110000));
    }

    llama_grammar_parser                  parser_;
    std::mt19937                          random_;
    std::vector<std::vector<Range>>       alternatives_;
    std::vector<size_t>                   least_;
    std::vector<std::pair<size_t, Range>> todo_;
};

// Whether a grammar allows a whole text.
class Recogniser {
  public:
    explicit Recogniser(const std::string & grammar)
        : grammar_(llama_grammar_init_impl(nullptr, grammar.c_str(), "root",
                                           false, nullptr, 0, nullptr, 0)) {
        CHECK(grammar_);
    }

    ~Recogniser() { llama_grammar_free_impl(grammar_); }

    bool allows(const std::string & text) {
        llama_grammar_stacks &     stacks = llama_grammar_get_stacks(grammar_);
        const llama_grammar_stacks start  = stacks;
        bool                       open   = true;
        for (const char c : text) { // ASCII only
            llama_grammar_accept(grammar_, static_cast<unsigned char>(c));
            open = !stacks.empty();
            if (!open) {
                break;
            }
        }
        bool whole = false;
        for (const auto & stack : stacks) {
            whole = whole || stack.empty();
        }
        stacks = start;
        return open && whole;
    }

  private:
    llama_grammar * grammar_;
};

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

void what_is_generated_is_valid() {
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

void integer_bounds_are_exact() {
    std::mt19937 random(11);
    for (int round = 0; round < 60; round++) {
        const int low    = static_cast<int>(random() % 3000) - 1500,
                  high   = low + static_cast<int>(random() % (round % 2 ? 1500 : 12));
        const int step   = round % 3 == 0 ? 1 + static_cast<int>(random() % 30) : 1;
        Json      schema = { { "type", "integer" }, { "minimum", low }, { "maximum", high } };
        bool      any    = false;
        for (int n = low; n <= high; n++) {
            any = any || n % step == 0;
        }
        if (step > 1) {
            schema["multipleOf"] = step;
        }
        if (!any) {
            continue;
        }
        Recogniser recogniser(
            Schema::compile(schema.dump())->grammar("root", Spacing::Compact));
        for (int n = low - 120; n <= high + 120; n++) {
            CHECK(recogniser.allows(std::to_string(n)) ==
                  (n >= low && n <= high && n % step == 0));
        }
        CHECK(!recogniser.allows("01") && !recogniser.allows("-") &&
              !recogniser.allows("-0"));
    }
}

void decimal_bounds_are_exact() {
    std::mt19937 random(12);
    for (int round = 0; round < 80; round++) {
        const double scale = round % 4 == 0 ? 1 : round % 4 == 1 ? 10
                                                                 : 100;
        const double low   = (static_cast<int>(random() % 800) - 400) / scale,
                     high  = low + static_cast<int>(random() % 600 + 1) / scale;
        const bool   above = random() % 2, below = random() % 2;
        const Json   schema = { { "type", "number" },
                                { above ? "exclusiveMinimum" : "minimum", low },
                                { below ? "exclusiveMaximum" : "maximum", high } };
        Recogniser   recogniser(
            Schema::compile(schema.dump())->grammar("root", Spacing::Compact));
        for (int thousandths = -4500; thousandths <= 10500; thousandths += 5) {
            char text[32];
            snprintf(text, sizeof(text), "%s%d.%03d", thousandths < 0 ? "-" : "",
                     std::abs(thousandths) / 1000, std::abs(thousandths) % 1000);
            const double value  = std::stod(text);
            const bool   inside = (above ? value > low : value >= low) &&
                                  (below ? value < high : value <= high);
            if (recogniser.allows(text) != inside && value != low && value != high) {
                std::printf("%s: %s\n", schema.dump().c_str(), text);
            }
            CHECK(inside || !recogniser.allows(text));
            // Zeros behind a bound itself need not be there.
            CHECK(!inside || value == low || value == high ||
                  recogniser.allows(text));
        }
    }
}

void natural_values_can_be_written() {
    const std::vector<std::tuple<const char *, std::vector<const char *>,
                                 std::vector<const char *>>>
        cases = {
            { R"({"type":"integer"})",
              { "0", "-7", "999999999999999" },
              { "1.0", "00", "+1", "9999999999999999", "-0" } },
            { R"({"type":"number"})",
              { "0", "-7.25", "1e10", "3.141592653589793" },
              { ".5", "1.", "NaN", "01", "1e999" } },
            { R"({"type":"number","minimum":0.5})",
              { "0.5", "0.75", "1", "12345.678" },
              { "0.4", "-1", "0" } },
            { R"({"type":"number","minimum":0,"maximum":1})",
              { "0", "1", "0.0", "1.0", "0.999" },
              { "1.1", "-0.1", "1.00001" } },
            { R"({"type":"string","maxLength":3})",
              { R"("")", R"("a\"\n")" },
              { R"("abcd")", R"("\u0041")", "\"\x01\"", R"("a)" } },
            { R"({"type":"string","format":"date"})",
              { R"("2024-02-28")" },
              { R"("2024-02-30")", R"("2024-13-01")", R"("x")" } },
            { R"({"type":"string","format":"base64"})",
              { R"("")", R"("Zm9v")", R"("Zm9vYg==")", R"("Zm9vYmE=")" },
              { R"("Zm9")", R"("Zm9vYg=")", R"("Zm9v
")", R"("Zm 9v")" } },
            { R"({"type":"array","items":{"type":"boolean"}})",
              { "[]", "[true]", "[true,false]" },
              { "[true,]", "[,]", "[ true]" } },
            { R"({"type":"object","properties":{"a":{"const":1},"b":{"const":2}},"required":["b"]})",
              { R"({"b":2})", R"({"a":1,"b":2})" },
              { R"({"a":1})", R"({"b":2,"a":1})", R"({"b":2,"c":3})", "{}" } },
            { R"({"type":"object","additionalProperties":{"type":"null"}})",
              { "{}", R"({"any key":null})" },
              { R"({"":null})", R"({"a":1})" } },
            { R"({"anyOf":[{"type":"null"},{"type":"integer","minimum":0,"maximum":9}]})",
              { "null", "7" },
              { "10", "nul" } },
        };
    for (const auto & [text, valid, invalid] : cases) {
        Recogniser recogniser(
            Schema::compile(text)->grammar("root", Spacing::Compact));
        for (const char * instance : valid) {
            CHECK(recogniser.allows(instance));
        }
        for (const char * instance : invalid) {
            CHECK(!recogniser.allows(instance));
        }
    }
}

// The message of a refusal, "" if there is none.
std::string refusal(const std::string & schema,
                    luup_error          code = LUUP_ERROR_INVALID_SCHEMA) {
    try {
        Schema::compile(schema);
    } catch (const Error & e) {
        CHECK(e.code() == code);
        return e.what();
    }
    return "";
}

void refusals_name_the_place() {
    const std::pair<const char *, const char *> cases[] = {
        { R"(1)", "/: " },
        { R"({"type":"object","properties":{"a/b":{"type":"int"}}})",
          "/properties/a~1b/type: " },
        { R"({"properties":{"a":{"$ref":"#/nowhere"}}})", "/properties/a/$ref: " },
        { R"({"properties":{"a":{"$ref":"http://example.com/x.json"}}})",
          "/properties/a/$ref: " },
        { R"({"items":{"$dynamicRef":"#x"}})", "/items/$dynamicRef: " },
        { R"({"$ref":"#"})", "/: refers to itself" },
        { R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})",
          "/: no value can be valid" },
        { R"({"type":"string","pattern":"(?<=a)b"})", "/pattern: " },
        { R"({"type":"string","pattern":"\\bword"})", "/pattern: " },
        { R"({"type":"string","pattern":"(a"})", "/pattern: " },
        { R"({"patternProperties":{"(a)\\1":{}}})", "/patternProperties/(a)\\1: " },
        { R"({"minimum":"1"})", "/minimum: " },
        { R"({"multipleOf":0})", "/multipleOf: " },
        { R"({"minLength":-1})", "/minLength: " },
        { R"({"enum":1})", "/enum: " },
        { R"({"allOf":[]})", "/allOf: " },
        { R"({"$schema":"https://example.com/mine"})", "/$schema: " },
        { R"({"type":"integer","minimum":3,"maximum":2})",
          "/: no value can be valid" },
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
    CHECK(
        !refusal(R"({"const":"\ud800"})", LUUP_ERROR_JSON_PARSE_FAILED).empty());
}

std::string repeated(const std::string & text, size_t n) {
    std::string out;
    for (size_t i = 0; i < n; i++) {
        out += text;
    }
    return out;
}

void limits_hold_before_anything_is_built() {
    CHECK(!refusal(repeated("[", 100000)).empty());
    CHECK(!refusal(repeated("{\"items\":", 100000)).empty());
    CHECK(
        refusal(repeated("{\"items\":", 60) + "{}" + repeated("}", 60)).empty());
    CHECK(
        !refusal(repeated("{\"items\":", 66) + "{}" + repeated("}", 66)).empty());
    CHECK(!refusal("{\"description\":\"" + std::string(1 << 20, 'x') + "\"}")
               .empty());
    CHECK(!refusal("{\"anyOf\":[" + repeated("{},", 10000) + "{}]}").empty());
    CHECK(!refusal("{\"enum\":[" + repeated("1,", 4096) + "2]}").empty());
    CHECK(!refusal("{\"const\":\"" + std::string(65537, 'x') + "\"}").empty());
    CHECK(!refusal("{\"pattern\":\"" + std::string(1001, 'x') + "\"}").empty());
    CHECK(!refusal(R"({"pattern":"a{10001}"})").empty());
    CHECK(!refusal(R"({"pattern":"((a{99}){99}){99}"})").empty());
    CHECK(!refusal(R"({"pattern":"^(a|b)*a(a|b){20}$"})").empty());
    CHECK(!refusal(R"({"minItems":100000,"type":"array"})").empty());
    CHECK(refusal(R"({"maxItems":1000000000,"type":"array"})").empty());
    // References that double the work at each level.
    std::string doubling = R"({"$ref":"#/$defs/d0","$defs":{)";
    for (int i = 0; i < 60; i++) {
        const std::string next =
            R"({"$ref":"#/$defs/d)" + std::to_string(i + 1) + "\"}";
        doubling += "\"d" + std::to_string(i) + R"(":{"allOf":[)" + next + "," +
                    next + "]},";
    }
    const auto schema =
        Schema::compile(doubling + R"("d60":{"type":"string"}}})");
    CHECK(schema->validate("a").empty());
    CHECK(!schema->validate(1).empty());
}

void errors_can_be_acted_on() {
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
        { R"({"age":1,"size":"l"})",
          "/size: must be one of \"s\", \"m\", not \"l\"" },
        { R"({"age":1,"name":"é"})",
          "/name: must have at least 2 characters, not 1" },
        { R"({"age":1,"born":"2023-02-29"})",
          "/born: must be a date such as \"2024-01-31\", not \"2023-02-29\"" },
        { R"({"age":1,"tags":["a","b","a"]})",
          "/tags: must not have equal items, but items 0 and 2 are both \"a\"" },
        { R"({"age":1,"tags":["a",1]})",
          "/tags/1: must be a string, not an integer (1)" },
        { R"({"age":1,"pet":{"kind":"dog","legs":"4"}})",
          "/pet/legs: must be an integer, not a string (\"4\")" },
        { R"({"age":1,"aeg":2})", "/: has the unknown property \"aeg\"" },
    };
    for (const auto & [instance, error] : cases) {
        CHECK(schema->validate(Json::parse(instance)) == error);
    }
    CHECK(schema->validate({ { "age", std::string(100000, 'x') } }).size() < 400);
    CHECK(schema->is_object() && !Schema::compile("{}")->is_object());
}

void guards_see_what_comes_twice() {
    const auto schema = Schema::compile(
        R"({"type":"object","additionalProperties":{"type":"array","items":{},"uniqueItems":true}})");
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
            CHECK(!first || guard.accept(whole.substr(cut)) ==
                                fine); // the copy went its own way
        }
    }
    CHECK(
        !Schema::compile(
             R"({"type":"array","items":{"type":"boolean"},"uniqueItems":true})")
             ->needs_guard());
    CHECK(!Schema::compile(
               R"({"type":"object","properties":{"a":{"type":"string"}}})")
               ->needs_guard());
}

void choices_are_where_the_schema_lists_values() {
    const auto        schema = Schema::compile(R"({
        "type": "object",
        "properties": {"ok": {"type": "boolean"}, "n": {"type": "integer"}, "c": {"anyOf": [{"enum": ["a\"b"]}, {"type": "null"}]}, "l": {"items": {"const": 1}, "type": "array"},
                       "o": {"anyOf": [{"properties": {"k": {"const": "p"}, "v": {"enum": ["z"]}}, "required": ["k"], "type": "object"},
                                       {"properties": {"k": {"const": "q"}, "v": {"type": "string"}}, "required": ["k"], "type": "object"}]}}})");
    const std::string text =
        R"({"ok": true,"n":1, "c":"a\"b","l":[1, 1],"o":{"k":"q","v":"z"}})";
    std::vector<std::string> found;
    for (const Schema::Choice & c : schema->choices(text)) {
        found.push_back(c.pointer + " " + text.substr(c.begin, c.end - c.begin));
    }
    CHECK(found == std::vector<std::string>({ "/ok true", "/c \"a\\\"b\"",
                                              "/l/0 1", "/l/1 1", "/o/k \"q\"" }));
    CHECK(Schema::compile(R"({"enum":["a","b"]})")->choices("\"b\"").size() == 1);
    CHECK(Schema::compile("{}")->choices("true").empty());
}

void prefixes_name_every_rule() {
    const auto        schema  = Schema::compile(generated[27]);
    const std::string grammar = schema->grammar("tool-1", Spacing::OneSpace);
    CHECK(grammar.compare(0, 11, "tool-1 ::= ") == 0);
    for (size_t i = 0; i < grammar.size(); i = grammar.find('\n', i) + 1) {
        CHECK(grammar.compare(i, 6, "tool-1") == 0);
    }
    CHECK(schema->text() == Json::parse(generated[27]).dump());
}

} // namespace

int main() {
    const std::vector<std::pair<const char *, std::function<void()>>> tests = {
        { "what_is_generated_is_valid", what_is_generated_is_valid },
        { "integer_bounds_are_exact", integer_bounds_are_exact },
        { "decimal_bounds_are_exact", decimal_bounds_are_exact },
        { "natural_values_can_be_written", natural_values_can_be_written },
        { "refusals_name_the_place", refusals_name_the_place },
        { "limits_hold_before_anything_is_built",
          limits_hold_before_anything_is_built },
        { "errors_can_be_acted_on", errors_can_be_acted_on },
        { "guards_see_what_comes_twice", guards_see_what_comes_twice },
        { "choices_are_where_the_schema_lists_values",
          choices_are_where_the_schema_lists_values },
        { "prefixes_name_every_rule", prefixes_name_every_rule },
    };
    return run_cases(tests);
}
