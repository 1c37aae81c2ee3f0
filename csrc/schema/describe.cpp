#include "schema/describe.h"

#include "base/text.h"
#include "schema/node.h"
#include "schema/number.h"

namespace luup {

namespace {

constexpr size_t shown_value = 60;  // bytes
constexpr size_t shown_list  = 160;

}  // namespace

std::string cut(const std::string & text, size_t limit) {
    return text.size() <= limit ? text : text.substr(0, utf8_prefix(text, limit)) + "...";
}

std::string show(const Json & value) {
    return cut(value.dump(-1, ' ', false, Json::error_handler_t::replace), shown_value);
}

std::string plural(uint64_t n, const std::string & one, const std::string & many) {
    return std::to_string(n) + " " + (n == 1 ? one : many);
}

unsigned type_of(const Json & value) {
    switch (value.type()) {
        case Json::value_t::null: return type_null;
        case Json::value_t::boolean: return type_boolean;
        case Json::value_t::string: return type_string;
        case Json::value_t::array: return type_array;
        case Json::value_t::object: return type_object;
        default: return is_integral(value) ? type_integer : type_number;
    }
}

std::string type_name(unsigned type) {
    switch (type) {
        case type_null: return "null";
        case type_boolean: return "a boolean";
        case type_integer: return "an integer";
        case type_number: return "a number";
        case type_string: return "a string";
        case type_array: return "an array";
        default: return "an object";
    }
}

std::string type_names(unsigned types) {
    std::string out;
    for (unsigned t = 1; t <= type_object; t <<= 1) {
        const bool part_of_number = t == type_integer && (types & type_number);
        if ((types & t) && !part_of_number) {
            out += (out.empty() ? "" : " or ") + type_name(t);
        }
    }
    return out;
}

std::string list_of(const std::vector<Json> & values) {
    std::string out;
    for (const Json & v : values) {
        out += (out.empty() ? "" : ", ") + show(v);
        if (out.size() > shown_list) {
            return out + ", ...";
        }
    }
    return out;
}

}  // namespace luup
