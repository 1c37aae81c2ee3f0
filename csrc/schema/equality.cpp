#include "schema/equality.h"

#include "schema/number.h"

#include <algorithm>
#include <map>

namespace luup {

bool equal_json(const Json & a, const Json & b) {
    if (a.is_number() && b.is_number()) {
        return compare_numbers(a, b) == 0;
    }
    if (a.type() != b.type() || a.size() != b.size()) {
        return false;
    }
    if (a.is_array()) {
        return std::equal(a.begin(), a.end(), b.begin(), equal_json);
    }
    if (a.is_object()) {
        for (const auto & [key, value] : a.items()) {
            const auto it = b.find(key);
            if (it == b.end() || !equal_json(value, *it)) {
                return false;
            }
        }
        return true;
    }
    return a == b;
}

std::string canonical_json(const Json & value) {
    if (value.is_number_float() && is_integral(value)) {
        const Decimal number = Decimal::from(value);
        return number.negative && number.whole != "0" ? "-" + number.whole : number.whole;
    }
    if (value.is_array()) {
        std::string out = "[";
        for (const Json & item : value) {
            out += canonical_json(item) + ",";
        }
        return out + "]";
    }
    if (value.is_object()) {
        std::map<std::string, std::string> sorted;
        for (const auto & [key, item] : value.items()) {
            sorted[key] = canonical_json(item);
        }
        std::string out = "{";
        for (const auto & [key, text] : sorted) {
            out += Json(key).dump() + ":" + text + ",";
        }
        return out + "}";
    }
    return value.dump();
}

}  // namespace luup
