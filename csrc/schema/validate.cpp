#include "schema/validate.h"

#include "base/text.h"
#include "schema/describe.h"
#include "schema/equality.h"
#include "schema/format.h"
#include "schema/number.h"
#include "schema/pointer.h"

#include <algorithm>

namespace luup {

namespace {

// Bytes that an error message shows.
constexpr size_t shown_pointer = 120;
constexpr size_t shown_pattern = 160;

}  // namespace

bool SchemaValidator::is_valid(int node, const Json & value) const {
    Evaluated evaluated;
    Memory    memory;
    return check(node, value, { document_.has_unevaluated() ? &evaluated : nullptr, nullptr, &memory });
}

std::string SchemaValidator::error(int node, const Json & value) const {
    Evaluated evaluated;
    Report    report;
    Memory    memory;
    if (check(node, value, { document_.has_unevaluated() ? &evaluated : nullptr, &report, &memory })) {
        return "";
    }
    return report.message;
}

bool SchemaValidator::wrong(Frame frame, const std::string & what, Kind kind) {
    if (frame.report && frame.report->message.empty()) {
        const std::string & p = frame.report->pointer;
        frame.report->message = cut(p.empty() ? "/" : p, shown_pointer) + ": " + what;
        frame.report->depth   = std::count(p.begin(), p.end(), '/');
        frame.report->kind    = kind;
    }
    return false;
}

// Rates the error of an alternative for the value at `depth`: 0 if the value has another type, else by how deep the
// error is.
size_t SchemaValidator::closeness(const Report & report, size_t depth) {
    if (report.depth <= depth) {
        return report.kind == Kind::type ? 0 : 2;
    }
    return report.kind == Kind::value && report.depth == depth + 1 ? 1 : 2 + report.depth - depth;
}

bool SchemaValidator::check(int id, const Json & value, Frame frame) const {
    const SchemaNode & node = document_.node(id);
    // "unevaluated…" ignores the annotations of sibling schemas, so the node collects its own.
    Evaluated own;
    Frame     inner = frame;
    inner.evaluated = frame.evaluated ? &own : nullptr;
    bool ok         = false;
    if (node.shared) {
        const auto key   = std::make_tuple(id, &value, frame.report != nullptr);
        auto       known = frame.memory->find(key);
        if (known == frame.memory->end()) {
            Answer answer;
            if (frame.report) {
                answer.report.pointer = frame.report->pointer;
                inner.report          = &answer.report;
            }
            answer.ok        = check_once(node, value, inner);
            answer.evaluated = own;
            known            = frame.memory->emplace(key, std::move(answer)).first;
        }
        ok  = known->second.ok;
        own = known->second.evaluated;
        if (!ok && frame.report && frame.report->message.empty()) {
            const std::string pointer = frame.report->pointer;
            *frame.report             = known->second.report;
            frame.report->pointer     = pointer;
        }
    } else {
        ok = check_once(node, value, inner);
    }
    if (ok && frame.evaluated) {
        frame.evaluated->insert(own.begin(), own.end());
    }
    return ok;
}

bool SchemaValidator::check_once(const SchemaNode & node, const Json & value, Frame frame) const {
    if (node.always) {
        return *node.always || wrong(frame, "is not allowed");
    }
    const unsigned type = type_of(value);
    if (!(node.types & type)) {
        const std::string given = type == type_null ? "null" : type_name(type) + " (" + show(value) + ")";
        return wrong(frame, "must be " + (node.types ? type_names(node.types) : "nothing") + ", not " + given,
                     Kind::type);
    }
    if (!check_values(node, value, frame)) {
        return false;
    }
    const bool ok = value.is_number()   ? check_number(node, value, frame)
                    : value.is_string() ? check_string(node, value, frame)
                    : value.is_array()  ? check_array(node, value, frame)
                                        : !value.is_object() || check_object(node, value, frame);
    return ok && check_applicators(node, value, frame) && check_unevaluated(node, value, frame);
}

bool SchemaValidator::check_values(const SchemaNode & node, const Json & value, Frame frame) const {
    if (!node.has_values || node.value_set.contains(value)) {
        return true;
    }
    return wrong(
        frame,
        (node.values.size() == 1 ? "must be " : "must be one of ") + list_of(node.values) + ", not " + show(value),
        Kind::value);
}

bool SchemaValidator::check_number(const SchemaNode & node, const Json & value, Frame frame) const {
    const auto bound = [&](const std::optional<Json> & limit, int sign, bool exclusive, const char * what) {
        if (!limit) {
            return true;
        }
        const int order = sign * compare_numbers(value, *limit);
        return order > 0 || (order == 0 && !exclusive) || wrong(frame, what + limit->dump() + ", not " + show(value));
    };
    return bound(node.minimum, 1, false, "must be at least ") &&
           bound(node.exclusive_minimum, 1, true, "must be more than ") &&
           bound(node.maximum, -1, false, "must be at most ") &&
           bound(node.exclusive_maximum, -1, true, "must be less than ") &&
           (!node.multiple_of || is_multiple(value, *node.multiple_of) ||
            wrong(frame, "must be a multiple of " + node.multiple_of->dump() + ", not " + show(value)));
}

bool SchemaValidator::check_string(const SchemaNode & node, const Json & value, Frame frame) const {
    const std::string & text   = value.get_ref<const std::string &>();
    const size_t        length = node.min_length || node.max_length ? count_code_points(text) : 0;
    if (node.min_length && length < *node.min_length) {
        return wrong(frame, "must have at least " + plural(*node.min_length, "character", "characters") + ", not " +
                                std::to_string(length));
    }
    if (node.max_length && length > *node.max_length) {
        return wrong(frame, "must have at most " + plural(*node.max_length, "character", "characters") + ", not " +
                                std::to_string(length));
    }
    if (node.pattern && !node.pattern->search(text)) {
        return wrong(frame, "must match the regular expression " + cut(node.pattern->source(), shown_pattern) +
                                ", which " + show(value) + " does not");
    }
    if (!node.format.empty() && !is_valid_format(*find_format(node.format), text)) {
        return wrong(frame, "must be a " + node.format + " such as \"" + find_format(node.format)->example +
                                "\", not " + show(value));
    }
    return true;
}

bool SchemaValidator::check_child(int id, const Json & child, const std::string & key, Frame frame) const {
    Evaluated evaluated;  // annotations of a child's children do not concern the parent
    if (!frame.report) {
        return check(id, child, { frame.evaluated ? &evaluated : nullptr, nullptr, frame.memory });
    }
    const size_t length   = frame.report->pointer.size();
    frame.report->pointer = pointer_to(frame.report->pointer, key);
    const bool ok         = check(id, child, { frame.evaluated ? &evaluated : nullptr, frame.report, frame.memory });
    frame.report->pointer.resize(length);
    return ok;
}

bool SchemaValidator::check_array(const SchemaNode & node, const Json & value, Frame frame) const {
    if (node.min_items && value.size() < *node.min_items) {
        return wrong(frame, "must have at least " + plural(*node.min_items, "item", "items") + ", not " +
                                std::to_string(value.size()));
    }
    if (node.max_items && value.size() > *node.max_items) {
        return wrong(frame, "must have at most " + plural(*node.max_items, "item", "items") + ", not " +
                                std::to_string(value.size()));
    }
    for (size_t i = 0; i < value.size(); i++) {
        const int id = i < node.prefix_items.size() ? node.prefix_items[i] : node.items;
        if (id < 0) {
            continue;
        }
        if (!check_child(id, value[i], std::to_string(i), frame)) {
            return false;
        }
        if (frame.evaluated) {
            frame.evaluated->insert(&value[i]);
        }
    }
    if (node.unique_items) {
        std::map<std::string, size_t> seen;
        for (size_t i = 0; i < value.size(); i++) {
            const auto [it, added] = seen.emplace(canonical_json(value[i]), i);
            if (!added) {
                return wrong(frame, "must not have equal items, but items " + std::to_string(it->second) + " and " +
                                        std::to_string(i) + " are both " + show(value[i]));
            }
        }
    }
    return node.contains < 0 || check_contains(node, value, frame);
}

bool SchemaValidator::check_contains(const SchemaNode & node, const Json & value, Frame frame) const {
    size_t n = 0;
    for (const Json & item : value) {
        if (check_child(node.contains, item, "", { frame.evaluated, nullptr, frame.memory })) {
            n++;
            if (frame.evaluated) {
                frame.evaluated->insert(&item);
            }
        }
    }
    const std::string found = "matching \"contains\", not " + std::to_string(n);
    if (n < node.min_contains) {
        return wrong(frame, "must have at least " + plural(node.min_contains, "item ", "items ") + found);
    }
    return !node.max_contains || n <= *node.max_contains ||
           wrong(frame, "must have at most " + plural(*node.max_contains, "item ", "items ") + found);
}

bool SchemaValidator::check_object(const SchemaNode & node, const Json & value, Frame frame) const {
    for (const std::string & name : node.required) {
        if (!value.contains(name)) {
            return wrong(frame, "lacks the required property " + show(Json(name)));
        }
    }
    if (!check_properties(node, value, frame)) {
        return false;
    }
    if (node.min_properties && value.size() < *node.min_properties) {
        return wrong(frame, "must have at least " + plural(*node.min_properties, "property", "properties") + ", not " +
                                std::to_string(value.size()));
    }
    if (node.max_properties && value.size() > *node.max_properties) {
        return wrong(frame, "must have at most " + plural(*node.max_properties, "property", "properties") + ", not " +
                                std::to_string(value.size()));
    }
    return check_dependent(node, value, frame);
}

bool SchemaValidator::check_properties(const SchemaNode & node, const Json & value, Frame frame) const {
    for (const auto & [key, child] : value.items()) {
        if (node.property_names >= 0 && !is_valid(node.property_names, Json(key))) {
            return wrong(frame, "has the property " + show(Json(key)) + ", whose name is not allowed");
        }
        bool      known    = false;
        const int declared = node.property(key);
        if (declared >= 0) {
            known = true;
            if (!check_child(declared, child, key, frame)) {
                return false;
            }
        }
        for (const auto & [pattern, id] : node.pattern_properties) {
            if (pattern->search(key)) {
                known = true;
                if (!check_child(id, child, key, frame)) {
                    return false;
                }
            }
        }
        if (!known && node.additional >= 0) {
            if (document_.node(node.additional).always == false) {
                return wrong(frame, "has the unknown property " + show(Json(key)));
            }
            known = true;
            if (!check_child(node.additional, child, key, frame)) {
                return false;
            }
        }
        if (known && frame.evaluated) {
            frame.evaluated->insert(&child);
        }
    }
    return true;
}

bool SchemaValidator::check_dependent(const SchemaNode & node, const Json & value, Frame frame) const {
    for (const auto & [key, names] : node.dependent_required) {
        for (const std::string & name : names) {
            if (value.contains(key) && !value.contains(name)) {
                return wrong(frame, "has " + show(Json(key)) + " and therefore needs the property " + show(Json(name)));
            }
        }
    }
    for (const auto & [key, id] : node.dependent_schemas) {
        if (value.contains(key) && !check(id, value, frame)) {
            return false;
        }
    }
    return true;
}

bool SchemaValidator::check_applicators(const SchemaNode & node, const Json & value, Frame frame) const {
    if (node.reference >= 0 && !check(node.reference, value, frame)) {
        return false;
    }
    for (const int id : node.all_of) {
        if (!check(id, value, frame)) {
            return false;
        }
    }
    if (!node.any_of.empty() && !check_any(node.any_of, value, false, frame)) {
        return false;
    }
    if (!node.one_of.empty() && !check_any(node.one_of, value, true, frame)) {
        return false;
    }
    Evaluated ignored;
    if (node.negated >= 0 &&
        check(node.negated, value, { frame.evaluated ? &ignored : nullptr, nullptr, frame.memory })) {
        return wrong(frame, "must not be " + show(value));
    }
    return node.condition < 0 || check_condition(node, value, frame);
}

// Reports the error of the alternative that came closest: the one with the deepest error, or at least with the right
// type.
bool SchemaValidator::check_any(const std::vector<int> & ids, const Json & value, bool one, Frame frame) const {
    size_t       n = 0;
    Report       best;
    const size_t depth = frame.report ? std::count(frame.report->pointer.begin(), frame.report->pointer.end(), '/') : 0;
    for (const int id : ids) {
        Report report;
        if (frame.report) {
            report.pointer = frame.report->pointer;
        }
        if (check(id, value, { frame.evaluated, frame.report ? &report : nullptr, frame.memory })) {
            n++;
            if (!one && !frame.evaluated) {
                return true;
            }
        } else if (best.message.empty() || closeness(report, depth) > closeness(best, depth)) {
            best = report;
        }
    }
    if (n == 0) {
        if (frame.report && frame.report->message.empty()) {
            const bool plain      = ids.size() == 1 || closeness(best, depth) > 0;
            frame.report->message = plain ? best.message : "";
            frame.report->depth   = best.depth;
            frame.report->kind    = best.kind;
            if (!plain) {
                unsigned types = 0;
                for (const int id : ids) {
                    const SchemaNode * sub = &document_.node(id);
                    while (sub->reference >= 0) {
                        sub = &document_.node(sub->reference);
                    }
                    types |= sub->types;
                }
                wrong(frame, "must be " + type_names(types) + ", not " + show(value), Kind::type);
            }
        }
        return false;
    }
    return !one || n == 1 ||
           wrong(frame,
                 "must match exactly one of the alternatives, but " + show(value) + " matches " + std::to_string(n));
}

bool SchemaValidator::check_condition(const SchemaNode & node, const Json & value, Frame frame) const {
    const bool holds = check(node.condition, value, { frame.evaluated, nullptr, frame.memory });
    const int  next  = holds ? node.consequence : node.alternative;
    return next < 0 || check(next, value, frame);
}

bool SchemaValidator::check_unevaluated(const SchemaNode & node, const Json & value, Frame frame) const {
    const int id = value.is_object() ? node.unevaluated_properties : value.is_array() ? node.unevaluated_items : -1;
    if (id < 0) {
        return true;
    }
    size_t index = 0;
    for (const auto & item : value.items()) {
        const Json &      child = item.value();
        const std::string key   = value.is_object() ? item.key() : std::to_string(index++);
        if (frame.evaluated->count(&child)) {
            continue;
        }
        if (document_.node(id).always == false) {
            return wrong(frame,
                         value.is_object() ? "has the unknown property " + show(Json(key)) : "has too many items");
        }
        if (!check_child(id, child, key, frame)) {
            return false;
        }
        frame.evaluated->insert(&child);
    }
    return true;
}

}  // namespace luup
