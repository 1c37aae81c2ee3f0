#include "base/json.h"

#include "base/error.h"

#include <algorithm>

namespace luup {

namespace {

// Returns why a text must not be parsed, or "".
std::string beyond_limits(std::string_view text) {
    if (text.size() > json_limits::bytes) {
        return "is too long: it has " + std::to_string(text.size()) + " bytes, at most " +
               std::to_string(json_limits::bytes) + " are allowed";
    }
    if (is_nested_too_deeply(text)) {
        return "is nested too deeply: at most " + std::to_string(json_limits::depth) + " levels are allowed";
    }
    return "";
}

}  // namespace

bool is_nested_too_deeply(std::string_view text, size_t depth) {
    if (text.size() <= depth) {
        return false;
    }
    JsonBrackets brackets;
    return std::any_of(text.begin(), text.end(), [&](char c) { return brackets.read(c) > depth; });
}

Json try_read_json(std::string_view text, std::string * problem) {
    std::string why = beyond_limits(text);
    if (why.empty() && !problem) {
        return Json::parse(text, nullptr, false);
    }
    if (why.empty()) {
        try {
            return Json::parse(text);
        } catch (const Json::exception & e) {
            why = std::string("is not valid JSON: ") + e.what();
        }
    }
    if (problem) {
        *problem = std::move(why);
    }
    return Json(Json::value_t::discarded);
}

bool visit_json(std::string_view text, Json::json_sax_t & visitor) {
    return beyond_limits(text).empty() && Json::sax_parse(text, &visitor);
}

Json read_json(std::string_view text, const std::string & subject) {
    std::string problem;
    Json        value = try_read_json(text, &problem);
    if (value.is_discarded()) {
        fail(LUUP_ERROR_JSON_PARSE_FAILED, "%s %s", subject.c_str(), problem.c_str());
    }
    return value;
}

}  // namespace luup
