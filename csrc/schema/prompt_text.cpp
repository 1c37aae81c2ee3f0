#include "schema/prompt_text.h"

#include "schema/pointer.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <set>
#include <vector>

namespace luup {

namespace {

constexpr size_t longest_pattern = 100;    // bytes, of those that are shown beside a format
constexpr size_t deepest         = 64;     // levels of JSON
constexpr size_t most_values     = 20000;  // of JSON that are written
constexpr int    most_tries      = 16;     // recursive definitions that are found one after the other

const std::set<std::string> maps_of_schemas = { "properties", "$defs", "definitions", "patternProperties",
                                                "dependentSchemas" };
const std::set<std::string> instances       = { "default", "const", "enum", "examples" };
const std::set<std::string> annotations     = { "title", "description", "default", "examples", "deprecated" };
const std::set<std::string> places          = { "$defs", "definitions" };

bool is_long_pattern(const Json & schema) {
    const auto found = schema.find("pattern");
    return found != schema.end() && found->is_string() &&
           found->get_ref<const std::string &>().size() > longest_pattern;
}

void leave_out_patterns(Json & schema) {
    if (!schema.contains("format")) {
        return;
    }
    if (is_long_pattern(schema)) {
        schema.erase("pattern");
    }
    const auto all = schema.find("allOf");
    if (all != schema.end() && all->is_array()) {
        Json kept = Json::array();
        std::copy_if(all->begin(), all->end(), std::back_inserter(kept), [](const Json & part) {
            return !(part.is_object() && part.size() == 1 && is_long_pattern(part));
        });
        if (kept.empty()) {
            schema.erase("allOf");
        } else {
            *all = std::move(kept);
        }
    }
}

// Writes one schema with its definitions in place.
class Inliner {
  public:
    Inliner(const Json & root, const std::set<std::string> & recursive) : root_(root), recursive_(recursive) {}

    // Returns nothing if the definitions can't be moved, or if one of them contains itself.
    std::optional<Json> run() {
        Json made = schema(root_, 0);
        for (const std::string & place : places) {
            made.erase(place);
        }
        for (const std::string & reference : recursive_) {
            const std::vector<std::string> parts = pointer_parts(reference.substr(1));
            made[parts[0]][parts[1]]             = schema(root_[parts[0]][parts[1]], 0);
        }
        return possible_ && found_.empty() ? std::optional<Json>(std::move(made)) : std::nullopt;
    }

    // A definition that contains itself and was not said to, "" if there is none.
    const std::string & found() const { return found_; }

  private:
    bool spend(size_t depth) {
        possible_ = possible_ && found_.empty() && depth <= deepest && ++n_values_ <= most_values;
        return possible_;
    }

    Json schema(const Json & from, size_t depth) {
        if (!spend(depth) || !from.is_object()) {
            return from;
        }
        for (const char * name : { "$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef" }) {
            possible_ = possible_ && !from.contains(name);
        }
        const auto reference = from.find("$ref");
        if (reference != from.end() && reference->is_string()) {
            return referred(from, *reference, depth);
        }
        Json made = Json::object();
        for (const auto & [key, value] : from.items()) {
            if (!is_moved(from, key)) {
                made[key] = keyword(key, value, depth);
            }
        }
        leave_out_patterns(made);
        return made;
    }

    // Whether a keyword holds the document's definitions.
    bool is_moved(const Json & schema, const std::string & key) const { return &schema == &root_ && places.count(key); }

    Json keyword(const std::string & key, const Json & value, size_t depth) {
        if (instances.count(key)) {
            return value;
        }
        if (value.is_array()) {
            Json made = Json::array();
            for (const Json & item : value) {
                made.push_back(schema(item, depth + 2));
            }
            return made;
        }
        if (!maps_of_schemas.count(key) || !value.is_object()) {
            return schema(value, depth + 1);
        }
        Json made = Json::object();
        for (const auto & [name, entry] : value.items()) {
            made[name] = schema(entry, depth + 2);
        }
        return made;
    }

    // Returns the target of a reference, with the annotations beside it.
    Json referred(const Json & from, const std::string & reference, size_t depth) {
        if (recursive_.count(reference) || reference == "#") {
            return from;
        }
        const std::vector<std::string> parts =
            reference.rfind("#/", 0) == 0 ? pointer_parts(reference.substr(1)) : std::vector<std::string>();
        const bool known = parts.size() == 2 && places.count(parts[0]) && root_.contains(parts[0]) &&
                           root_[parts[0]].contains(parts[1]) && root_[parts[0]][parts[1]].is_object();
        const bool plain = std::all_of(from.items().begin(), from.items().end(), [&](const auto & item) {
            return item.key() == "$ref" || annotations.count(item.key()) || is_moved(from, item.key());
        });
        if (!known || !plain) {
            possible_ = false;
            return from;
        }
        if (std::find(open_.begin(), open_.end(), reference) != open_.end()) {
            found_ = reference;
            return from;
        }
        open_.push_back(reference);
        Json made = schema(root_[parts[0]][parts[1]], depth + 1);
        open_.pop_back();
        for (const auto & [key, value] : from.items()) {
            if (annotations.count(key)) {
                made[key] = value;
            }
        }
        return made;
    }

    const Json &                  root_;
    const std::set<std::string> & recursive_;
    std::vector<std::string>      open_;  // the references that are being followed
    std::string                   found_;
    size_t                        n_values_ = 0;
    bool                          possible_ = true;
};

void leave_out_all_patterns(Json & value) {
    if (value.is_object()) {
        leave_out_patterns(value);
    }
    for (auto & item : value.items()) {
        if (item.value().is_structured() && !instances.count(item.key())) {
            leave_out_all_patterns(item.value());
        }
    }
}

}  // namespace

std::string prompt_text(const Json & schema) {
    std::string text = schema.dump();
    if (text.find("\"$ref\"") == std::string::npos && text.find("\"pattern\"") == std::string::npos) {
        return text;
    }
    std::set<std::string> recursive;
    for (int i = 0; i < most_tries && schema.is_object(); i++) {
        Inliner inliner(schema, recursive);
        if (const auto made = inliner.run()) {
            std::string found = made->dump();
            if (found.size() <= 2 * text.size()) {
                return found;
            }
        }
        if (inliner.found().empty()) {
            break;
        }
        recursive.insert(inliner.found());
    }
    Json shorter = schema;
    leave_out_all_patterns(shorter);
    return shorter.dump();
}

}  // namespace luup
