#include "base/json.h"

#include "base/error.h"

#include <algorithm>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace luup {

namespace {

// Makes a value of what a parser finds. nlohmann's own class compares each key of an object with all before it, which
// takes minutes for 100,000 of them.
class JsonBuilder : public Json::json_sax_t {
  public:
    Json        value   = Json(Json::value_t::discarded);
    std::string problem = "";

    bool null() override { return add(nullptr); }

    bool boolean(bool each) override { return add(each); }

    bool number_integer(number_integer_t each) override { return add(each); }

    bool number_unsigned(number_unsigned_t each) override { return add(each); }

    bool number_float(number_float_t each, const string_t &) override { return add(each); }

    bool string(string_t & each) override { return add(std::move(each)); }

    bool binary(binary_t &) override { return false; }

    bool start_object(size_t) override { return open(Json::object()); }

    bool key(string_t & name) override {
        open_.back().place = place_of(open_.back(), std::move(name));
        return true;
    }

    bool end_object() override { return close(); }

    bool start_array(size_t) override { return open(Json::array()); }

    bool end_array() override { return close(); }

    bool parse_error(size_t, const std::string &, const Json::exception & error) override {
        problem = error.what();
        return false;
    }

  private:
    // Objects with more properties get an index of them.
    static constexpr size_t few = 32;

    struct Open {
        Json *                                                   value;
        size_t                                                   place = 0;  // of the property that comes next
        std::unique_ptr<std::unordered_map<std::string, size_t>> index = nullptr;
    };

    // Returns the place of a property, which is added if it is missing: of two with one name, the last one counts.
    static size_t place_of(Open & object, std::string name) {
        auto & all = object.value->get_ref<Json::object_t &>();
        if (!object.index) {
            const auto found = all.find(name);
            if (found != all.end()) {
                return static_cast<size_t>(found - all.begin());
            }
            if (all.size() >= few) {
                object.index = std::make_unique<std::unordered_map<std::string, size_t>>();
                for (const auto & each : all) {
                    object.index->emplace(each.first, object.index->size());
                }
            }
        }
        if (object.index) {
            const auto known = object.index->emplace(name, all.size());
            if (!known.second) {
                return known.first->second;
            }
        }
        all.Json::object_t::Container::emplace_back(std::move(name), nullptr);
        return all.size() - 1;
    }

    // Puts a value where the next one belongs.
    template <typename T> Json * put(T && each) {
        if (open_.empty()) {
            value = std::forward<T>(each);
            return &value;
        }
        Json & outer = *open_.back().value;
        if (outer.is_array()) {
            outer.push_back(std::forward<T>(each));
            return &outer.back();
        }
        Json & place =
            (outer.get_ref<Json::object_t &>().begin() + static_cast<std::ptrdiff_t>(open_.back().place))->second;
        place = std::forward<T>(each);
        return &place;
    }

    template <typename T> bool add(T && each) {
        put(Json(std::forward<T>(each)));
        return true;
    }

    bool open(Json container) {
        Json * const at = put(std::move(container));
        open_.push_back({ at });
        return true;
    }

    bool close() {
        open_.pop_back();
        return true;
    }

    std::vector<Open> open_;  // the objects and lists around the next value
};

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
    if (why.empty()) {
        JsonBuilder builder;
        if (Json::sax_parse(text, &builder)) {
            return std::move(builder.value);
        }
        why = "is not valid JSON: " + builder.problem;
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
