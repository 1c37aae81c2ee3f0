#include "answer/server_json.h"

#include "base/text.h"

namespace luup {

namespace {

constexpr size_t max_quoted = 300;  // bytes of a server's own words in an error

bool adds_nothing(const Json & value) {
    return value.is_null() || (value.is_string() && value.get_ref<const std::string &>().empty()) ||
           (value.is_structured() && value.empty());
}

// Reads one part of a content: {"type": "text", "text": …}, {"type": "thinking", "thinking": …} or a bare text.
void read_part(const Json & part, bool thinks, ServerText & found) {
    if (part.is_string()) {
        (thinks ? found.reasoning : found.text) += without_zeros(part.get<std::string>());
        return;
    }
    if (part.is_array()) {
        for (const Json & inner : part) {
            read_part(inner, thinks, found);
        }
        return;
    }
    if (!part.is_object()) {
        found.odd = found.odd || !part.is_null();
        return;
    }
    const std::string type = text_of(part, "type");
    for (const char * field : { "thinking", "reasoning", "summary" }) {
        if (part.contains(field) && !part[field].is_null()) {
            read_part(part[field], true, found);
            return;
        }
    }
    const bool inner_thinks = thinks || type == "thinking" || type.rfind("reasoning", 0) == 0;
    for (const char * field : { "text", "content", "refusal" }) {
        if (part.contains(field) && !part[field].is_null()) {
            read_part(part[field], inner_thinks, found);
            return;
        }
    }
    found.odd = true;
}

}  // namespace

std::string quoted(const std::string & text) {
    return text.substr(0, utf8_prefix(text, max_quoted));
}

std::string without_zeros(std::string text) {
    for (size_t at = text.find('\0'); at != std::string::npos; at = text.find('\0', at)) {
        text.replace(at, 1, "\xEF\xBF\xBD");
    }
    return text;
}

std::string text_of(const Json & j, const char * field) {
    const auto found = j.find(field);
    return found == j.end() || !found->is_string() ? "" : without_zeros(found->get<std::string>());
}

int32_t count_of(const Json & j, const char * field) {
    const auto found = j.find(field);
    if (found == j.end() || !found->is_number()) {
        return 0;
    }
    const double count = found->get<double>();
    return count > 0 && count < INT32_MAX ? static_cast<int32_t>(count) : 0;
}

bool is_object(const Json & j, const char * field) {
    const auto found = j.find(field);
    return found != j.end() && found->is_object();
}

void merge_fields(Json & into, const Json & from) {
    for (const auto & [key, value] : from.items()) {
        if (adds_nothing(value)) {
            continue;
        }
        Json & place = into[key];
        if (place.is_object() && value.is_object()) {
            merge_fields(place, value);
        } else if (place.is_array() && value.is_array()) {
            place.insert(place.end(), value.begin(), value.end());
        } else {
            place = value;
        }
    }
}

ServerText read_content(const Json & content) {
    ServerText found;
    read_part(content, false, found);
    return found;
}

}  // namespace luup
