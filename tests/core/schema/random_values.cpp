// Values that a schema accepts can be written, however long they are.
#include "check.h"
#include "recogniser.h"
#include "schema/schema.h"

#include <cstdio>
#include <random>
#include <string>
#include <utility>

using namespace luup;
using Json = nlohmann::ordered_json;

namespace {

// Makes random values, each with a random schema that accepts it.
class Samples {
  public:
    using Sample = std::pair<Json, Json>;  // schema and value

    explicit Samples(uint32_t seed) : random_(seed) {}

    Sample next(int depth) {
        switch (below(depth > 0 ? 7 : 3)) {
            case 0: return integer();
            case 1: return number();
            case 2: return text();
            case 3:
            case 4: return array(depth);
            case 5: return dict(depth);
            default: return object(depth);
        }
    }

  private:
    uint32_t below(uint32_t n) { return random_() % n; }

    template <typename Number> Sample bounded(Json schema, Number value, Number distance) {
        if (below(2)) {
            schema["minimum"] = value - distance;
        }
        if (below(2)) {
            schema["maximum"] = value + distance;
        }
        return { schema, value };
    }

    Sample integer() {
        int64_t value = below(10);
        for (uint32_t digits = below(17); digits > 0; digits--) {
            value = value * 10 + below(10);
        }
        return bounded<int64_t>({ { "type", "integer" } }, below(2) ? value : -value, below(1000));
    }

    Sample number() {
        const double value = (static_cast<double>(below(2000000000)) - 1e9) / 1000;
        return bounded<double>({ { "type", "number" } }, value, below(1000) / 10.0);
    }

    std::string characters(uint32_t n) {
        static const char * const all[] = { "a", "B", "0", " ", "\"", "\\", "\n", "é", "漢", "😀" };
        std::string               out;
        for (; n > 0; n--) {
            out += all[below(10)];
        }
        return out;
    }

    Sample text() {
        const uint32_t length = below(4) ? below(20) : below(3000);
        Json           schema = { { "type", "string" } };
        if (below(3) == 0) {
            schema["minLength"] = length - below(length + 1);
        }
        if (below(3) == 0) {
            schema["maxLength"] = length + below(5000);
        }
        return { schema, characters(length) };
    }

    Sample array(int depth) {
        const Sample   item   = next(depth - 1);
        const uint32_t n      = item.second.dump().size() > 200 ? below(4) : below(300);
        Json           schema = { { "type", "array" }, { "items", item.first } };
        if (below(3) == 0) {
            schema["maxItems"] = n + below(2000);
        }
        if (below(3) == 0) {
            schema["minItems"] = n - below(n + 1);
        }
        return { schema, Json(n, item.second) };
    }

    Sample dict(int depth) {
        const Sample entry = next(depth - 1);
        Json         value = Json::object();
        for (uint32_t n = entry.second.dump().size() > 200 ? below(4) : below(100); n > 0; n--) {
            value[characters(1 + below(80)) + std::to_string(n)] = entry.second;
        }
        return { { { "type", "object" }, { "additionalProperties", entry.first } }, value };
    }

    Sample object(int depth) {
        Json properties = Json::object(), value = Json::object(), required = Json::array();
        for (const char * name : { "a", "b", "c" }) {
            const Sample property = next(depth - 1);
            properties[name]      = property.first;
            const bool is_there   = below(4) > 0;
            if (is_there) {
                value[name] = property.second;
            }
            if (is_there && below(2)) {
                required.push_back(name);
            }
        }
        return { { { "type", "object" }, { "properties", properties }, { "required", required } }, value };
    }

    std::mt19937 random_;
};

void check_written(const std::string & schema, const std::string & text) {
    const auto compiled = Schema::compile(schema);
    CHECK(compiled->validate(Json::parse(text)).empty());
    if (!Recogniser(compiled->grammar("root", Spacing::Compact)).allows(text)) {
        std::printf("%s\n%s\n", schema.c_str(), text.c_str());
        throw CheckFailed();
    }
}

}  // namespace

CASE(random_values_can_be_written) {
    Samples samples(11);
    for (int i = 0; i < 150; i++) {
        const auto [schema, value] = samples.next(3);
        check_written(schema.dump(), value.dump());
        if (i % 3 == 0) {
            check_written("{}", value.dump());
        }
    }
}
