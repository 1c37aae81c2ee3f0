#include "schema/keyword.h"

#include "base/text.h"
#include "schema/limits.h"
#include "schema/node.h"
#include "schema/pointer.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>

namespace luup {

namespace {

const std::map<std::string, unsigned> types_by_name = {
    { "null", type_null },       { "boolean", type_boolean },
    { "integer", type_integer }, { "number", type_number | type_integer },
    { "string", type_string },   { "array", type_array },
    { "object", type_object },
};

}  // namespace

void Keyword::refuse(const std::string & what) const {
    invalid_schema(pointer_, what);
}

std::string Keyword::string() const {
    if (!value_.is_string()) {
        refuse("must be a string");
    }
    return value_.get<std::string>();
}

bool Keyword::boolean() const {
    if (!value_.is_boolean()) {
        refuse("must be true or false");
    }
    return value_.get<bool>();
}

Json Keyword::number() const {
    if (!value_.is_number()) {
        refuse("must be a number");
    }
    return value_;
}

uint64_t Keyword::count() const {
    const double n = value_.is_number() ? value_.get<double>() : -1;
    if (n < 0 || std::trunc(n) != n) {
        refuse("must be a whole number, 0 or above");
    }
    return n > static_cast<double>(schema_limits::count) ? schema_limits::count : static_cast<uint64_t>(n);
}

const Json & Keyword::object() const {
    if (!value_.is_object()) {
        refuse("must be an object");
    }
    return value_;
}

std::vector<std::string> Keyword::names() const {
    if (!value_.is_array()) {
        refuse("must be a list of names");
    }
    std::vector<std::string> out;
    for (const Json & name : value_) {
        out.push_back(Keyword(name_, name, pointer_).string());
    }
    return out;
}

unsigned Keyword::types() const {
    unsigned   mask = 0;
    const auto add  = [&](const Json & name) {
        const auto found = name.is_string() ? types_by_name.find(name.get<std::string>()) : types_by_name.end();
        if (found == types_by_name.end()) {
            refuse("must be one of null, boolean, integer, number, string, array, object or a list of these");
        }
        mask |= found->second;
    };
    if (value_.is_array()) {
        std::for_each(value_.begin(), value_.end(), add);
    } else {
        add(value_);
    }
    return mask;
}

std::vector<Json> Keyword::values() const {
    std::vector<Json> values;
    if (is("const")) {
        values.push_back(value_);
    } else if (!value_.is_array()) {
        refuse("must be an array of values");
    } else {
        values.assign(value_.begin(), value_.end());
    }
    if (values.size() > schema_limits::enum_values) {
        refuse("has more than 20,000 values");
    }
    for (const Json & v : values) {
        if (v.dump().size() > schema_limits::enum_bytes) {
            refuse("has a value of more than 64 KB");
        }
    }
    return values;
}

std::shared_ptr<const Pattern> Keyword::pattern() const {
    return parse_pattern(string(), pointer_);
}

Keyword Keyword::entry(const std::string & name, const Json & value) const {
    return Keyword(name, value, pointer_to(pointer_, name));
}

std::shared_ptr<const Pattern> parse_pattern(const std::string & text, const std::string & pointer) {
    if (count_code_points(text) > schema_limits::pattern_length) {
        invalid_schema(pointer, "the regular expression has more than 4,000 characters");
    }
    try {
        return std::make_shared<const Pattern>(text);
    } catch (const std::invalid_argument & e) {
        invalid_schema(pointer, std::string("the regular expression can't be used: ") + e.what());
    }
}

}  // namespace luup
