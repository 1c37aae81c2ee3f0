// Bounds of numbers, digit by digit.
#include "check.h"
#include "recogniser.h"
#include "schema/schema.h"

#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

using namespace luup;
using Json = nlohmann::ordered_json;

CASE(integer_bounds_are_exact) {
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
        Recogniser recogniser(Schema::compile(schema.dump())->grammar("root", Spacing::Compact));
        for (int n = low - 120; n <= high + 120; n++) {
            CHECK(recogniser.allows(std::to_string(n)) == (n >= low && n <= high && n % step == 0));
        }
        CHECK(!recogniser.allows("01") && !recogniser.allows("-") && !recogniser.allows("-0"));
    }
}

CASE(decimal_bounds_are_exact) {
    std::mt19937 random(12);
    for (int round = 0; round < 80; round++) {
        const double scale = round % 4 == 0 ? 1 : round % 4 == 1 ? 10 : 100;
        const double low   = (static_cast<int>(random() % 800) - 400) / scale,
                     high  = low + static_cast<int>(random() % 600 + 1) / scale;
        const bool   above = random() % 2, below = random() % 2;
        const Json   schema = { { "type", "number" },
                                { above ? "exclusiveMinimum" : "minimum", low },
                                { below ? "exclusiveMaximum" : "maximum", high } };
        Recogniser   recogniser(Schema::compile(schema.dump())->grammar("root", Spacing::Compact));
        for (int thousandths = -4500; thousandths <= 10500; thousandths += 5) {
            char text[32];
            snprintf(text, sizeof(text), "%s%d.%03d", thousandths < 0 ? "-" : "", std::abs(thousandths) / 1000,
                     std::abs(thousandths) % 1000);
            const double value  = std::stod(text);
            const bool   inside = (above ? value > low : value >= low) && (below ? value < high : value <= high);
            if (recogniser.allows(text) != inside && value != low && value != high) {
                std::printf("%s: %s\n", schema.dump().c_str(), text);
            }
            CHECK(inside || !recogniser.allows(text));
            // Zeros behind a bound itself need not be there.
            CHECK(!inside || value == low || value == high || recogniser.allows(text));
        }
    }
}

// Readers of JSON take long digits without a fraction for an integer, which may be too large for them.
CASE(long_numbers_have_a_fraction_or_an_exponent) {
    const std::string digits18(18, '9'), digits19 = "1" + std::string(18, '0'), digits30(30, '7');
    for (const Json & schema :
         { Json{ { "type", "number" } }, Json{ { "type", "number" }, { "minimum", -1e40 }, { "maximum", 1e40 } },
           Json{ { "type", "number" }, { "exclusiveMinimum", -1e300 } },
           Json{ { "type", "number" }, { "minimum", 7 } } }) {
        Recogniser recogniser(Schema::compile(schema.dump())->grammar("root", Spacing::Compact));
        for (const std::string sign : { "", "-" }) {
            if (sign == "-" && schema.contains("minimum") && schema["minimum"] == 7) {
                continue;
            }
            CHECK(recogniser.allows(sign + digits18) && recogniser.allows(sign + digits18 + ".5"));
            for (const std::string & longer : { digits19, digits30 }) {
                CHECK(!recogniser.allows(sign + longer));
                CHECK(recogniser.allows(sign + longer + ".0") && recogniser.allows(sign + longer + ".25"));
            }
            CHECK(recogniser.allows(sign + "1e19") && recogniser.allows(sign + "7.5e30"));
        }
    }
    // Bounds of one value.
    const Json only = { { "type", "number" }, { "minimum", 1e20 }, { "maximum", 1e20 } };
    Recogniser recogniser(Schema::compile(only.dump())->grammar("root", Spacing::Compact));
    CHECK(!recogniser.allows("100000000000000000000") && recogniser.allows("100000000000000000000.0"));
    CHECK(!recogniser.allows("100000000000000000001.0"));
    // Integers stay as long as they are.
    Recogniser integers(Schema::compile(R"({"type": "integer"})")->grammar("root", Spacing::Compact));
    CHECK(integers.allows(digits30) && !integers.allows(digits30 + ".0"));
}
